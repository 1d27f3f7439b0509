# DESTDIR and PREFIX, as distributions use them.
tree=/mnt/tree
unpack "$tree" "$version"
cd /mnt

touch before
exits 0 env DESTDIR=/mnt/dest PREFIX=/usr "$tree/package/install"
"$tree/package/manifest" | while read -r mode source target; do
  cmp -s "$tree/$source" "/mnt/dest/usr/$target" || fail "$target is not there"
  equal "$(stat -c %a "/mnt/dest/usr/$target")" "$mode"
done
equal "$(find dest -type f | wc -l)" "$("$tree/package/manifest" | wc -l)"
equal "$(find /usr /opt /etc /var -xdev -newer before -name "tcpserver*")" ""
ok "DESTDIR and PREFIX come first, and nothing goes elsewhere"

export DESTDIR=
export PREFIX=/opt/ucspi
exits 0 "$tree/package/install"
PATH=/opt/ucspi/bin:$PATH
"$tree/package/rts"
ok "package/rts is silent about programs below a prefix"

tcpserver -RHl0 127.0.0.1 7000 cat &
server=$!
eventually echoes 127.0.0.1 7000
exits 0 "$tree/package/install"
echoes 127.0.0.1 7000 || fail "the running server does not serve"
kill "$server"
ok "an installation over running programs works"

exits 0 "$tree/package/uninstall"
equal "$(find /opt/ucspi -type f -o -type l)" ""
ok "package/uninstall leaves no file"
