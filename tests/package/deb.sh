# Our Debian package over the original ones, and away again. target/package/ has the originals, see ci/package.
tree=/mnt/tree
unpack "$tree" "$version"
mkdir /mnt/debs
exits 111 "$tree/package/deb" /nonexistent
equal "$(cat said)" "deb: fatal: there is no folder /nonexistent"
ok "a folder that does not exist is said"

# The name stands for nobody, and lintian takes it.
unset DEBEMAIL DEBFULLNAME EMAIL
(cd /mnt && exits 0 "$tree/package/deb" debs)
ours=$(ls /mnt/debs/ucspi-tcp-rs_*.deb)
mkdir /mnt/again
exits 0 "$tree/package/deb" /mnt/again
cmp "$ours" /mnt/again/*.deb || fail "the same files make another package"
ok "the package is built, twice the same"

if command -v lintian > /dev/null; then
  lintian --allow-root --fail-on error,warning "$ours" > /mnt/lintian 2>&1 || fail "$(cat /mnt/lintian)"
  ok "lintian has neither errors nor warnings"
else
  echo "skipped $name: lintian is not here"
fi

# Of programs for other machines their headers are enough.
equal "$(dpkg-deb -f "$ours" Architecture)" "$(dpkg --print-architecture)"
small=/mnt/small
unpack "$small" "$version"
for program in $names; do head -c 64 "$tree/command/$program" > "$small/command/$program"; done
while read -r arch class machine flags; do
  printf "$class" | dd of="$small/command/tcpserver" bs=1 seek=4 conv=notrunc status=none
  printf "$machine" | dd of="$small/command/tcpserver" bs=1 seek=18 conv=notrunc status=none
  printf "$flags" | dd of="$small/command/tcpserver" bs=1 seek=36 conv=notrunc status=none
  mkdir "/mnt/$arch"
  exits 0 env DEBFULLNAME='A Packager' DEBEMAIL=a@packagers.example "$small/package/deb" "/mnt/$arch"
  equal "$(ls "/mnt/$arch")" "ucspi-tcp-rs_$version-1_$arch.deb"
  equal "$(dpkg-deb -f "/mnt/$arch"/*.deb Architecture)" "$arch"
done << 'END'
arm64 \002\001 \267\000 \000\000\000\000
armhf \001\001 \050\000 \000\004\000\005
armel \001\001 \050\000 \000\002\000\005
riscv64 \002\001 \363\000 \000\000\000\000
END
ok "the architecture is that of the programs"
equal "$(dpkg-deb -f /mnt/arm64/*.deb Maintainer)" "A Packager <a@packagers.example>"
ok "DEBFULLNAME and DEBEMAIL are the maintainer"

# Something that needs ucspi-tcp, as mail servers do.
mkdir -p /mnt/needs/DEBIAN
printf '%s\n' 'Package: needs-tcpserver' 'Version: 1' 'Architecture: all' 'Maintainer: nobody <nobody@localhost>' \
  'Depends: ucspi-tcp | ucspi-tcp-ipv6' 'Description: needs tcpserver' > /mnt/needs/DEBIAN/control
exits 0 dpkg-deb -b /mnt/needs /mnt/needs.deb

status() { dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null || echo unknown; }
cp "$here"/target/package/*.deb /mnt/
cd /mnt
for original in ucspi-tcp ucspi-tcp-ipv6; do
  exits 0 dpkg -i "$(ls /mnt/"$original"_*.deb)"
  exits 0 dpkg -i /mnt/needs.deb
  tcpserver -RHl0 127.0.0.1 7000 cat &
  server=$!
  eventually echoes 127.0.0.1 7000
  dpkg -L "$original" | grep -E '/(bin|man1)/' | sort > theirs

  # The IPv6 build conflicts with the name that we provide: dpkg alone does not resolve that, apt does.
  case $original in
    ucspi-tcp) exits 0 dpkg -i "$ours" ;;
    *) exits 0 apt-get install -q -y "$ours" ;;
  esac
  equal "$(status ucspi-tcp-rs)" installed
  case $(status "$original") in installed) fail "$original is still installed" ;; esac
  equal "$(status needs-tcpserver)" installed
  exits 0 dpkg --audit
  equal "$(cat said)" ""
  dpkg -L ucspi-tcp-rs | grep -E '/(bin|man1)/' | sort > those
  # fixcr.1 describes a program that does not exist.
  missing=$(comm -23 theirs those | grep -v /fixcr.1.gz || :)
  equal "$missing" ""
  for program in $names; do cmp -s "/usr/bin/$program" "$tree/command/$program" || fail "/usr/bin/$program is not ours"; done
  ok "our package takes the place of $original, with the same files"

  echoes 127.0.0.1 7000 || fail "the running server does not serve"
  kill "$server"
  tcpserver -v -RHl0 127.0.0.1 7001 cat 2> log &
  server=$!
  eventually echoes 127.0.0.1 7001
  kill "$server"
  ok "the original server goes on until it is restarted, then it is ours"

  exits 0 dpkg -r needs-tcpserver
  exits 0 dpkg -P ucspi-tcp-rs
  for program in $names; do gone "/usr/bin/$program" || fail "/usr/bin/$program is left"; done
  gone /usr/share/doc/ucspi-tcp-rs || fail "documents are left"
  ok "our package can be removed, and leaves nothing"
  exits 0 dpkg -i "$(ls /mnt/"$original"_*.deb)"
  exits 0 dpkg -P "$original"
done
