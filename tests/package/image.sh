# What examples/run/Dockerfile makes an image of runs in a root that holds nothing else.
dockerfile=examples/run/Dockerfile
image=/mnt/image
mkdir "$image"

# The lines after FROM scratch are all that an engine would do.
sed '1,/^FROM scratch$/d' $dockerfile > /mnt/steps
words() { sed -n "s/^$1 //p" /mnt/steps | tr -d '[],"'; }
equal "$(words COPY)" "--from=build /ucspi-tcp/command/ /bin/
--from=build /bin/busybox /bin/cat"
mkdir "$image/bin"
cp command/* "$image/bin/"
cp /bin/busybox "$image/bin/cat"
equal "$(find "$image" -type f | wc -l)" "$(printf '%s\ncat\n' "$names" | wc -l)"

# As engines do: in a container, every port is for everybody.
echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start
# shellcheck disable=SC2046 # One word for each word of the file.
chroot --userspec="$(words USER)" "$image" $(words ENTRYPOINT) $(words CMD) 2> /mnt/log &
server=$!
eventually grep 'status: 0/40' /mnt/log || fail "$(cat /mnt/log)"
equal "$(chroot "$image" /bin/tcpclient -RHl0 127.0.0.1 7 /bin/argv0 /bin/tcprules x 2>&1 || :)" \
  "tcprules: usage: tcprules rules.cdb rules.tmp"
PATH=$here/command:$PATH
printf 'all\r\nbytes\n\0' > /mnt/sent
tcpclient -RHl0 127.0.0.1 7 tcpio < /mnt/sent > /mnt/echoed
cmp /mnt/sent /mnt/echoed || fail "what comes back is not what was sent"
equal "$(stat -c %u "/proc/$server")" 65534
kill "$server"
exits 0 wait "$server"
ok "the image serves"

# Every program starts there, and says what is wrong.
for program in $names; do
  status=0
  chroot "$image" "/bin/$program" x < /dev/null > /mnt/said 2>&1 || status=$?
  case $status in 0 | 78 | 100 | 111) ;; *) fail "$program: status $status: $(cat /mnt/said)" ;; esac
done
mkdir "$image/rules"
echo '127.0.0.1:allow,X="y"' | chroot "$image" /bin/tcprules /rules/cdb /rules/mnt
equal "$(TCPREMOTEIP=127.0.0.1 chroot "$image" /bin/tcprulescheck /rules/cdb | tail -n 1)" "allow connection"
ok "each program runs in an empty root"
