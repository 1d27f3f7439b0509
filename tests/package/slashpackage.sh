# Install, upgrade under running servers, go back, fail, uninstall: /package, /usr/local/bin, /usr/local/share/man.
old=/package/net/ucspi-tcp-0.0.9
new=/package/net/ucspi-tcp-$version
bin=/usr/local/bin
unpack "$old" 0.0.9
unpack "$new" "$version"
PATH=$bin:$PATH

rmdir /usr/local/share/man/man7 2> /dev/null || :
echo 'not ours' > "$bin/tcpserver"
exits 0 "$old/package/install"
grep -qx "upgrade: replacing $bin/tcpserver, which is somebody else's" said || fail "said $(cat said)"
equal "$(grep -c replacing said)" 1
equal "$(readlink /package/net/ucspi-tcp)" ucspi-tcp-0.0.9
for program in $names; do
  equal "$(readlink "$bin/$program")" "/package/net/ucspi-tcp/command/$program"
  test -x "$bin/$program" || fail "$program is not there"
done
test -f /usr/local/share/man/man1/tcpserver.1 || fail "no manual"
test -f /usr/local/share/man/man7/ucspi-tcp.7 || fail "no overview"
ok "package/install links the programs and copies the manual"

exits 0 "$old/package/rts"
equal "$(cat said)" ""
ok "package/rts is silent about the installed programs"

cd /mnt
tcpserver -v -RHl0 127.0.0.1 7000 cat 2> log &
server=$!
eventually echoes 127.0.0.1 7000
equal "$(runs "$server")" "$old/command/tcpserver"
mkfifo talk
tcpclient -RHl0 127.0.0.1 7000 sh -c 'cat <&6 > heard & exec cat talk >&7' &
exec 5> talk
echo before >&5
eventually grep -q before heard

# A broken new version: one program is missing.
mv "$new/command/who@" "$new/who@"
exits 111 "$new/package/upgrade"
equal "$(readlink /package/net/ucspi-tcp)" ucspi-tcp-0.0.9
mv "$new/who@" "$new/command/who@"
# Programs that do not run here.
mv "$new/command/tcpserver" "$new/tcpserver"
printf 'not a program\n' > "$new/command/tcpserver"
chmod +x "$new/command/tcpserver"
exits 111 "$new/package/upgrade"
equal "$(readlink /package/net/ucspi-tcp)" ucspi-tcp-0.0.9
mv "$new/tcpserver" "$new/command/tcpserver"
# A folder that cannot be had.
cp "$new/package/command-ln" list
printf '/etc/passwd/bin\n' > "$new/package/command-ln"
exits 111 "$new/package/upgrade"
cp list "$new/package/command-ln"
equal "$(readlink /package/net/ucspi-tcp)" ucspi-tcp-0.0.9
# A source that cannot be built.
mkdir "$new/src"
exits 111 "$new/package/install"
rmdir "$new/src"
equal "$(readlink /package/net/ucspi-tcp)" ucspi-tcp-0.0.9
echoes 127.0.0.1 7000 || fail "the old version does not work"
ok "an upgrade that fails leaves the old version in place"

exits 100 "$new/package/upgrade" everything
exits 100 "$new/package/install" everything
ok "a component that does not exist is a usage error"

exits 0 "$new/package/install"
equal "$(readlink /package/net/ucspi-tcp)" "ucspi-tcp-$version"
equal "$(readlink -f "$bin/tcpserver")" "$new/command/tcpserver"
equal "$(runs "$server")" "$old/command/tcpserver"
echoes 127.0.0.1 7000 || fail "the running server does not serve"
echo after >&5
eventually grep -q after heard
exec 5>&-
test -x "$old/command/tcpserver" || fail "the old version is gone"
ok "an upgrade leaves the running server, its connections and the old version alone"

kill "$server"
exits 0 wait "$server"
tcpserver -RHl0 127.0.0.1 7000 cat &
server=$!
eventually echoes 127.0.0.1 7000
equal "$(runs "$server")" "$new/command/tcpserver"
kill "$server"
ok "a restarted server is the new version"

exits 0 "$new/package/rts"
exits 0 "$old/package/upgrade"
equal "$(readlink -f "$bin/tcpserver")" "$old/command/tcpserver"
exits 0 "$new/package/upgrade"
ok "the old version can be made the current one again"

rm "$bin/who@"
echo mine > "$bin/who@"
echo mine > /usr/local/share/man/man1/who@.1
exits 0 "$new/package/uninstall"
for program in $names; do test "$program" = who@ || gone "$bin/$program" || fail "$program is left"; done
gone /package/net/ucspi-tcp || fail "the link is left"
gone /usr/local/share/man/man1/tcpserver.1 || fail "a page is left"
gone /usr/local/share/man/man7 || fail "a folder is left that was not there before"
equal "$(cat "$bin/who@" /usr/local/share/man/man1/who@.1)" "mine
mine"
test -x "$old/command/tcpserver" || fail "the old version is gone"
ok "package/uninstall takes away what is ours, and nothing else"

if command -v busybox > /dev/null; then
  rm "$bin/who@"
  mkdir /mnt/small
  busybox --install -s /mnt/small
  for step in upgrade man uninstall; do
    exits 0 env -i PATH="$bin:/mnt/small" busybox sh "$old/package/$step"
  done
  gone "$bin/tcpserver" || fail "a link is left"
  ok "to install takes no more than busybox"
else
  echo "skipped $name: busybox is not here"
fi
