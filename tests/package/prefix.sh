# DESTDIR and PREFIX, as distributions use them.
tree=/mnt/tree
unpack "$tree" "$version"
cd /mnt

touch before
exits 0 env DESTDIR=/mnt/dest PREFIX=/usr "$tree/package/install"
equal "$(cat said)" "prefix: installing below /mnt/dest/usr"
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

mkdir /opt/ucspi/share/doc
exits 0 "$tree/package/uninstall"
equal "$(cat said)" "uninstall: removing what was installed below /opt/ucspi"
equal "$(find /opt/ucspi | sort | tr '\n' ' ')" "/opt/ucspi /opt/ucspi/share /opt/ucspi/share/doc "
exits 0 "$tree/package/install"
rmdir /opt/ucspi/share/doc
exits 0 "$tree/package/uninstall"
gone /opt/ucspi || fail "left: $(find /opt/ucspi)"
! grep /opt/ucspi "$tree/installed-folders" || fail "folders are still noted"
ok "package/uninstall leaves nothing but what is somebody else's"

# What is there already, and what an older version of ours was.
PREFIX=/mnt/local
mkdir -p "$PREFIX/bin" "$PREFIX/share/man"
cp /bin/true "$PREFIX/bin/tcpserver"
cp "$tree/command/tcpclient" "$PREFIX/bin/tcpclient"
exits 0 "$tree/package/install"
equal "$(cat said)" "prefix: installing below /mnt/local
prefix: replacing /mnt/local/bin/tcpserver, which is somebody else's"
exits 0 "$tree/package/uninstall"
equal "$(find "$PREFIX" | sort | tr '\n' ' ')" "$PREFIX $PREFIX/bin $PREFIX/share $PREFIX/share/man "
ok "a program of somebody else is not replaced without a word, and folders that were there stay"
