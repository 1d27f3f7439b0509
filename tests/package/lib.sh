# What the tests of the package share. They run in tests/package/in-throw-away-root, from the top directory; the programs
# are in command/.
export LC_ALL=C
here=$PWD
version=$(cat package/version)
name=$(basename "$2" .sh)
names=$(cat package/commands-base)

# What a sentence says has been seen.
ok() { echo "ok $name: $*"; }
fail() {
  echo "FAILED $name: $*" >&2
  exit 1
}

# Runs a command until it succeeds.
eventually() {
  tries=0
  until "$@" > /dev/null 2>&1; do
    tries=$((tries + 1))
    test "$tries" -lt 1000 || fail "never: $*"
    sleep 0.03
  done
}

equal() { test "$1" = "$2" || fail "expected \"$2\", found \"$1\""; }
gone() { ! test -e "$1" && ! test -L "$1"; }
exits() { # status, command: ends with that status, and what it says is in the file `said`
  expected=$1
  shift
  status=0
  "$@" > said 2>&1 || status=$?
  test "$status" = "$expected" || fail "status $status, not $expected: $*: $(cat said)"
}

# Copies what an installation needs, without the source, so that nothing is built: folder, version.
unpack() {
  mkdir -p "$1"
  cp -R command completions docs examples man package CHANGELOG.md LICENSE "$1/"
  echo "$2" > "$1/package/version"
}

# What `ask` says comes back from the echo server at this address and port.
says() { # word, address, port, options of tcpclient
  word=$1 address=$2 port=$3
  shift 3
  tcpclient -RHl0 "$@" "$address" "$port" sh -c 'echo "$1" >&7; head -n 1 <&6' sh "$word"
}
echoes() { test "$(says hello "$@")" = hello; }

# Which file a process runs.
runs() { readlink "/proc/$1/exe"; }
