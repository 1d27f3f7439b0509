# Debian's own tests of ucspi-tcp and of its IPv6 build, as autopkgtest(1) runs them, on our Debian package.
# ci/package says when they cannot be had.
ls target/package/ucspi-tcp_*.debian.tar.xz > /dev/null 2>&1 || exit 0
tree=/mnt/tree
unpack "$tree" "$version"
mkdir /mnt/debs
exits 0 "$tree/package/deb" /mnt/debs
cp target/package/python3-*.deb /mnt/debs/
tar -C /mnt -xf target/package/ucspi-tcp_*.debian.tar.xz
cd /mnt
exits 0 dpkg -i debs/*.deb
for program in $names; do cmp -s "/usr/bin/$program" "$tree/command/$program" || fail "/usr/bin/$program is not ours"; done

sed -n 's/^Test-Command: //p' debian/tests/control > tests
equal "$(wc -l < tests)" 3
while read -r test; do
  # Of several Pythons Debian's has the packages.
  PATH=/usr/sbin:/usr/bin:/sbin:/bin sh -c "$test" > told 2>&1 < /dev/null || fail "$test: $(cat told)"
  grep -q '^=== The tests for tcp passed$' told || fail "nothing was tested by $test: $(cat told)"
  ok "Debian's tests pass on $(sed -n 's/^- got a connection at fd [0-9]* to //p' told)"
done < tests
