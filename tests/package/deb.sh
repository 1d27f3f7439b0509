# Our Debian package over the original ones, and away again. target/package/ has the originals, see ci/package.
tree=/mnt/tree
unpack "$tree" "$version"
mkdir /mnt/debs
(cd /mnt && exits 0 env DEBEMAIL=packager@localhost.localdomain "$tree/package/deb" /mnt/debs)
ours=$(ls /mnt/debs/ucspi-tcp-rs_*.deb)
mkdir /mnt/again
(cd /mnt && exits 0 env DEBEMAIL=packager@localhost.localdomain "$tree/package/deb" /mnt/again)
cmp "$ours" /mnt/again/*.deb || fail "the same files make another package"
ok "the package is built, twice the same"

if command -v lintian > /dev/null; then
  # A package that is built here has no maintainer in the sense of Debian.
  lintian --allow-root --fail-on error,warning \
    --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$ours" > /mnt/lintian 2>&1 ||
    fail "$(cat /mnt/lintian)"
  ok "lintian has neither errors nor warnings"
else
  echo "skipped $name: lintian is not here"
fi

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
