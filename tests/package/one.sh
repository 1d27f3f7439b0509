# All programs in one file. target/package/one has it, see ci/package.
tree=/mnt/tree
unpack "$tree" "$version"
unpack /mnt/separate "$version"
rm -r "$tree/command"
cp -R target/package/one "$tree/command"
cd /mnt

size=$(stat -c %s "$tree/command/ucspi-tcp")
test "$size" -le 4400000 || fail "$size bytes"
ok "one file with all programs, of $((size / 1000)) kB"

export DESTDIR=
export PREFIX=/opt/ucspi
exits 0 "$tree/package/install" --one
for program in $names; do equal "$(readlink "$PREFIX/bin/$program")" ucspi-tcp; done
equal "$(find "$PREFIX/bin" -type f)" "$PREFIX/bin/ucspi-tcp"
PATH=$PREFIX/bin:$PATH
"$tree/package/rts"
ok "package/rts is silent about it"

for program in $names; do
  equal "$($program --version)" "$program (ucspi-tcp) $version"
  equal "$(argv0 "$program" who@ --version)" "$program (ucspi-tcp) $version"
  equal "$(exec argv0 ucspi-tcp "/x/$program" --version)" "$program (ucspi-tcp) $version"
done
exits 100 ucspi-tcp
equal "$(cat said)" "ucspi-tcp: execute this file by one of the names $(echo $names)"
ok "each name is its program, whatever argv[0] is; without a name, argv[0] counts"

tcpserver -RHl0 127.0.0.1 7000 recordio cat 2> log &
server=$!
eventually echoes 127.0.0.1 7000
exits 0 "$tree/package/install" --one
echoes 127.0.0.1 7000 || fail "the running server does not serve"
kill "$server"
ok "programs run each other, and an installation over them works"

exits 0 "$tree/package/uninstall"
gone "$PREFIX" || fail "left: $(find "$PREFIX")"
ok "package/uninstall leaves nothing"

exits 0 "$tree/package/deb" --one /mnt
equal "$(dpkg-deb -c /mnt/*.deb | grep -c ' -> ucspi-tcp$')" "$(echo "$names" | wc -l)"
ok "as a Debian package, too"

slash=/package/net/ucspi-tcp-$version
mkdir -p "${slash%/*}"
mv "$tree" "$slash"
unset DESTDIR PREFIX
exits 0 "$slash/package/install" --one
equal "$(/usr/local/bin/delcr --version)" "delcr (ucspi-tcp) $version"
exits 0 "$slash/package/uninstall"
gone /usr/local/bin/delcr || fail "a link is left"
ok "as a slashpackage, too"

exits 111 /mnt/separate/package/install --one
grep -q 'are not one file$' said || fail "$(cat said)"
ok "separate programs without their source cannot become one file"
