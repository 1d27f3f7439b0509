# The run scripts of examples/run under real supervisors: connect, log, TERM, upgrade, restart, stop.
tree=/mnt/tree
unpack "$tree" "$version"
exits 0 env PREFIX=/usr "$tree/package/install"
grep -q '^echo[[:blank:]]*7/tcp' /etc/services || echo 'echo 7/tcp' >> /etc/services
cd /mnt

# The process that listens on port 7, of those that are called tcpserver.
server_pid() {
  for dir in /proc/[0-9]*; do
    if test "$(cat "$dir/comm" 2> /dev/null)" = tcpserver && ls -l "$dir/fd" 2> /dev/null | grep -q "socket:.$(socket)"; then
      basename "$dir"
    fi
  done
}
# The inode of the socket that listens on port 7.
socket() { awk '$2 ~ /:0007$/ && $4 == "0A" { print $10; exit }' /proc/net/tcp6 /proc/net/tcp; }
serves() { test -n "$(server_pid)" && echoes 127.0.0.1 7; }
is_new() { test -n "$(server_pid)" && test "$(server_pid)" != "$1"; }
is_idle() { test -z "$(socket)"; }

# service directory, command that sends TERM, command that restarts, command that stops
try() {
  service=$1 log=$1/log/main/current
  eventually serves
  equal "$(says hello ::1 7)" hello
  equal "$(says hello 127.0.0.1 7 -i 192.0.2.1 2> /dev/null || :)" ""
  eventually grep 'tcpserver: ok' "$log"
  eventually grep 'tcpserver: deny' "$log"
  ! grep -q '^tcpserver' "$log" || fail "the log has no times"
  equal "$(ps -o user= -p "$(server_pid)")" nobody
  equal "$(stat -c %U "$log")" daemon
  ok "$supervisor: serves IPv4 and IPv6, denies, and logs"

  rm -f talk heard
  mkfifo talk
  tcpclient -RHl0 127.0.0.1 7 sh -c 'cat <&6 > heard & exec cat talk >&7' &
  exec 5> talk
  echo before >&5
  eventually grep -q before heard
  old=$(server_pid)
  # Kept open: a socket of the connection is not the one that listens.
  $2
  eventually is_new "$old"
  eventually serves
  echo after >&5
  eventually grep -q after heard
  ok "$supervisor: TERM makes a new server, and the connection goes on"

  old=$(server_pid)
  exits 0 env PREFIX=/usr "$tree/package/install"
  case $(runs "$old") in *deleted*) ;; *) fail "the upgrade has not replaced the file" ;; esac
  serves || fail "no service after the upgrade"
  $3
  eventually is_new "$old"
  eventually serves
  equal "$(runs "$(server_pid)")" /usr/bin/tcpserver
  echo later >&5
  eventually grep -q later heard
  exec 5>&-
  ok "$supervisor: after an upgrade, the old program serves until a restart"

  $4
  eventually is_idle
  ok "$supervisor: stops"
}

# What stands in the table for a supervisor.
install_commands() { sed -n "s/^| $1 | \`\([^\`]*\)\` |.*/\1/p" "$here/examples/run/README.md"; }
rm -rf /etc/service /etc/sv /run/service
mkdir -p /etc/service /etc/sv /run/service

for supervisor in daemontools runit s6; do
  (cd "$here/examples/run" && eval "$(install_commands "$supervisor")")
  case $supervisor in
    runit) service=/etc/sv/echo ;;
    *) service=/etc/echo ;;
  esac
  case $supervisor in
    daemontools)
      svscan /etc/service > /dev/null 2> "$supervisor.log" &
      above=$!
      try "$service" "svc -t $service" "svc -t $service" "svc -dx $service $service/log"
      ;;
    runit)
      runsvdir -P /etc/service > /dev/null 2> "$supervisor.log" &
      above=$!
      export SVDIR=/etc/service
      try "$service" "sv term echo" "sv restart echo" "sv exit echo"
      ;;
    s6)
      s6-svscan /run/service > /dev/null 2> "$supervisor.log" &
      above=$!
      eventually s6-svwait -U -t 20000 "$service"
      ok "s6: knows when the server is ready"
      try "$service" "s6-svc -t $service" "s6-svc -r $service" "s6-svc -dx $service"
      s6-svc -dx "$service/log"
      ;;
  esac
  kill "$above"
  rm -rf /etc/service/echo /etc/echo
done

if command -v systemd-analyze > /dev/null; then
  unit=examples/run/systemd/echo-tcpserver.service
  # The manual pages are there, but man may not be.
  grep -v ^Documentation "$here/$unit" > echo-tcpserver.service
  exits 0 systemd-analyze verify ./echo-tcpserver.service
  equal "$(cat said)" ""
  exits 0 systemd-analyze security --offline=true --threshold=20 ./echo-tcpserver.service
  ok "systemd: the unit is valid, and $(sed -n 's/.*Overall exposure.*: \([0-9.]*\).*/exposed by \1 of 10/p' said)"
  # What an engine does for ExecStartPre and ExecStart, without its protection.
  systemctl() { echo "systemctl $*"; }
  equal "$(cd "$here/examples/run" && eval "$(install_commands systemd)")" "systemctl daemon-reload
systemctl enable --now echo-tcpserver"
  test -f /etc/systemd/system/echo-tcpserver.service || fail "the unit is not there"
  mkdir -p /run/echo-tcpserver
  start() { sed -n "s/^$1=//p" echo-tcpserver.service; }
  $(start ExecStartPre) < /etc/tcp/echo.rules
  $(start ExecStart) < /etc/tcp/echo.rules 2> systemd.log &
  server=$!
  eventually serves
  rm -f heard
  tcpclient -RHl0 127.0.0.1 7 sh -c 'echo connected >&7; exec cat <&6 > heard' &
  client=$!
  eventually grep connected heard
  echo ':deny' > /etc/tcp/echo.rules
  $(start ExecReload) < /etc/tcp/echo.rules
  equal "$(says hello 127.0.0.1 7 2> /dev/null || :)" ""
  kill "$server"
  eventually grep 'tcpserver: draining [1-9]' systemd.log
  kill "$client"
  kill "$server"
  wait "$server" || fail "status $?"
  ok "systemd: its commands serve, reload the rules, and drain"
else
  echo "skipped $name: systemd-analyze is not here"
fi
