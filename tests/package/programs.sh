# What the release programs are like: static, stripped, small in memory, without a trace of where they were built.
case $(uname -sm) in
  'Linux x86_64')
    for program in $names; do
      headers=$(readelf -lS --wide "command/$program")
      case $headers in *INTERP*) fail "$program is not static" ;; esac
      case $headers in *.symtab*) fail "$program is not stripped" ;; esac
    done
    ok "the programs are static and stripped"

    for program in $names; do
      case $program in tls* | https@ | tcprelay | spawnd) continue ;; esac
      ! grep -qaF rustls "command/$program" || fail "$program has TLS in it"
    done
    ok "programs without TLS do not have it in them"

    # In kB, give or take a tenth: what, as README.md has it, and files.
    as_said() {
      said=$(sed -n "s/.*$1 \([0-9]*\)[,.].*/\1/p" README.md)
      shift
      found=$(($(cat "$@" | wc -c) / 1000))
      test "$((found * 10))" -ge "$((said * 9))" && test "$((found * 10))" -le "$((said * 11))" ||
        fail "README.md says $said kB, not $found: $*"
    }
    as_said 'all of them' command/*
    as_said 'tcpserver alone' command/tcpserver
    as_said 'addcr alone' command/addcr
    as_said 'as one file' target/package/one/ucspi-tcp
    ok "the programs are as large as README.md says"
    ;;
esac

for program in $names; do
  for trace in "$here" "${HOME:-/root}" "${CARGO_HOME:-/root/.cargo}" registry/src; do
    ! grep -qaF -e "$trace" "command/$program" || fail "$program knows \"$trace\""
  done
done
ok "the programs know nothing of the machine that built them"

PATH=$here/command:$PATH
cd /mnt
chmod 777 .

# The whole of an old run script; only the program that serves is another one.
cat > run << 'END'
#!/bin/sh
tcprules smtp.cdb smtp.tmp < smtp
exec softlimit -m 4000000 tcpserver -vRHl0 -u65534 -g65534 -x smtp.cdb 0 smtp sh -c 'read -r line; echo "$line$X"' 2>&1
END
printf '127.:allow,X="!"\n192.0.2.1:deny\n:allow\n' > smtp
sh run > log &
server=$!
eventually grep 'status: 0/40' log
equal "$(says HELO 127.0.0.1 25)" 'HELO!'
equal "$(says HELO 192.0.2.1 25 -i 192.0.2.1 2> /dev/null || :)" ''
eventually grep 'tcpserver: deny' log
kill "$server"
exits 0 wait "$server"
ok "an old run script with softlimit -m 4000000 runs as it is"

# Nobody answers: look-ups take their time, and all the memory that they ever need.
echo nameserver 192.0.2.1 > /etc/resolv.conf
for many in 1 40; do
  rm -f port log
  softlimit -m 8000000 tcpserver -1v --lookup-timeout=1 127.0.0.1 0 cat > port 2> log &
  server=$!
  eventually test -s port
  for number in $(seq "$many"); do
    echoes 127.0.0.1 "$(cat port)" &
    clients="${clients-} $!"
  done
  for client in $clients; do wait "$client" || fail "a client of $many got no answer: $(tail -n 3 log)"; done
  clients=
  echo "   address space, $many connections at a time: $(sed -n 's/^VmPeak:[ \t]*//p' "/proc/$server/status")"
  kill "$server"
done
ok "with look-ups on, it runs under softlimit -m 8000000"

# Names of services and users are read from files, not by the C library.
rm -f log
tcpserver -v -RHl0 -u daemon -g nogroup 127.0.0.1 smtp sh -c 'id -un; id -gn' 2> log &
server=$!
eventually grep 'status: 0/40' log
equal "$(tcpcat 127.0.0.1 smtp)" "daemon
nogroup"
kill "$server"
ok "names of services, users and groups work in static programs"

printf 'nameserver 127.0.0.53\n' > /etc/resolv.conf
printf '127.0.0.1 box\n' >> /etc/hosts
rm -f log
tcpserver -v -RHl0 box 7000 echo here 2> log &
server=$!
eventually grep 'status: 0/40' log
equal "$(tcpcat box 7000)" here
kill "$server"
ok "names of hosts work in static programs"
