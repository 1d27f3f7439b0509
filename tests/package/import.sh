# What inetd2tcp makes of the files of tests/import: each service runs under its supervisor, and answers whom its rules
# let in. Programs that are not ours are stand-ins, which say who they are.
cd /mnt
# Supervisors have a PATH of their own.
cp "$here"/command/* /usr/bin/

for address in 10.1.2.3 192.168.0.7 198.51.100.1; do ip address add "$address/32" dev lo; done
echo nameserver 127.0.0.1 > /etc/resolv.conf
while read -r service port; do
  grep -q "^$service[[:blank:]]" /etc/services || echo "$service $port/tcp" >> /etc/services
done << 'END'
echo 7
discard 9
systat 11
daytime 13
chargen 19
ftp 21
ssh 22
telnet 23
smtp 25
time 37
finger 79
pop3 110
ident 113
nntp 119
imap2 143
imap 143
ssmtp 465
login 513
uucp-path 117
rsync 873
swat 901
cvspserver 2401
svn 3690
sane-port 6566
git 9418
amandaidx 10082
amidxtape 10083
END
id=7000
for user in telnetd saned _identd mail news backup proxy cvs svn nagios lp uucp www-data tty wheel nogroup; do
  id=$((id + 1))
  grep -q "^$user:" /etc/passwd || echo "$user:x:$id:$id::/:/bin/sh" >> /etc/passwd
  grep -q "^$user:" /etc/group || echo "$user:x:$id:" >> /etc/group
done
echo 'Welcome' > /etc/motd.ftp
echo 'Go away' > /etc/motd.refused
echo 'Welcome' > /etc/motd.vnc

# A program that is not ours says its name, then repeats what it hears. A shell and env are what they are.
stand_in() {
  case $1 in /bin/sh | /usr/bin/env | /bin/ps) return ;; esac
  mkdir -p "$(dirname "$1")"
  rm -f "$1"
  printf '#!/bin/sh\necho "%s"\nexec cat\n' "$1" > "$1"
  chmod 755 "$1"
}
stand_in "/usr/local/bin/it's.sh"

# The first of our addresses that the rules let in, if there is one.
admitted() { # service
  for address in 127.0.0.1 192.0.2.1 10.1.2.3 192.168.0.7 198.51.100.1; do
    if ! test -e "$1/rules.cdb" || TCPREMOTEIP=$address tcprulescheck "$1/rules.cdb" | grep -q '^allow'; then
      echo "$address"
      return
    fi
  done
}

# What a client hears that says one word and nothing more.
heard() { # host, port, further options
  host=$1 port=$2
  shift 2
  case $host in
    0 | :0) host=192.0.2.1 ;;
    ::) host=::1 ;;
  esac
  timeout 10 tcpclient -RHl0 "$@" "$host" "$port" sh -c 'echo hello >&7; exec 7>&-; head -c 4 <&6' 2> /dev/null || :
}

# A service that is up does what it should: answers whom it must, and nobody else.
answers() { # service
  endpoint=$(sed -n 's/^.*tcp[a-z]* -.* \([^ ]*\) \([^ ]*\) \\$/\1 \2/p' "$1/run")
  port=${endpoint#* } host=${endpoint% *}
  case $host in
    *:*:*) from='' address=::1 ;;
    *)
      address=$(admitted "$1")
      from="-i ${address:-127.0.0.1}"
      ;;
  esac
  if test "$port" = discard; then
    # It says nothing, and does not hang up.
    tcpclient -RHl0 "${address:-127.0.0.1}" "$port" sh -c 'echo hello >&7' 2> /dev/null
    return
  fi
  answer=$(heard "$host" "$port" $from | tr '\0' ' ')
  if test -n "$address"; then test -n "$answer"; else test -z "$answer"; fi
}

up() { # style, folder of services
  case $1 in
    daemontools) svscan "$2" > /dev/null 2>> svscan.log & ;;
    runit) runsvdir -P "$2" > /dev/null 2>> runsvdir.log & ;;
    s6) s6-svscan "$2" > /dev/null 2>> s6-svscan.log & ;;
    # As the unit says.
    systemd)
      for service in "$2"/*; do
        test -e "$service/down" || run_unit "$service" &
      done
      ;;
    openrc)
      for service in "$2"/*; do
        test -e "$service/down" && continue
        cp "$service/$(basename "$service")" /etc/init.d/
        exits 0 rc-service --nodeps "$(basename "$service")" start
      done
      ;;
  esac
  above=$!
  case $1 in
    daemontools | runit | s6)
      for service in "$2"/*; do
        eventually test -p "$service/supervise/control"
        eventually test -p "$service/log/supervise/control"
      done
      ;;
  esac
}
run_unit() {
  unit=$1/$(basename "$1").service
  if command -v systemd-analyze > /dev/null; then
    # The manual pages may not be there.
    grep -v ^Documentation "$unit" > "$(basename "$unit")"
    systemd-analyze verify "./$(basename "$unit")" || exit
  fi
  cd "$(sed -n 's/^WorkingDirectory=//p' "$unit")"
  program=$(sed -n 's/^ExecStart="\(.*\)"$/\1/p' "$unit")
  exec "$program" > "$1/log" 2>&1
}
down() { # style, folder of services
  case $1 in
    daemontools)
      kill "$above"
      for service in "$2"/*; do svc -dx "$service" "$service/log"; done
      ;;
    runit) kill -HUP "$above" ;;
    s6) s6-svscanctl -t "$2" ;;
    openrc)
      for service in "$2"/*; do
        test -e "$service/down" || exits 0 rc-service --nodeps "$(basename "$service")" stop
      done
      ;;
    systemd) ;;
  esac
  servers=$(pidof tcpserver tcprelay || :)
  test -z "$servers" || kill $servers 2> /dev/null || :
  eventually nobody_serves
}
nobody_serves() { ! pidof tcpserver tcprelay; }

# Copied, so that files have the modes that git does not keep.
cp -R "$here/tests/import/files" files
while read -r file mode; do chmod "$mode" "files/ipsvd/$file"; done < files/ipsvd/MODES

styles='daemontools runit s6 systemd'
if ls "$here"/target/package/openrc_*.deb > /dev/null 2>&1; then
  for package in libeinfo1 librc1 openrc; do
    dpkg --fsys-tarfile "$here"/target/package/"$package"_*.deb | tar -x --keep-directory-symlink -C /
  done
  # What `openrc sysinit` makes at the boot.
  for state in starting started stopping inactive wasinactive failed hotplugged daemons options exclusive scheduled init.d tmp; do
    mkdir -p "/run/openrc/$state"
  done
  touch /run/openrc/softlevel /etc/insserv.conf
  styles="$styles openrc"
else
  echo "skipped $name: OpenRC is not in target/package"
fi

count=0
for style in $styles; do
  for kind in inetd xinetd systemd; do
    for case in files/"$kind"/*; do
      test -d "$case" || continue
      case_name=$(basename "$case")
      made=$PWD/made/$style/$kind/$case_name
      (cd "files/$kind" && inetd2tcp -d "$made" --style="$style" "$case_name" > /dev/null 2>&1) || test $? = 1 ||
        fail "$kind/$case_name cannot be converted"
      for service in "$made"/*; do
        sed -n '$p' "$service/run" | grep -o " /[^ \"]*/[^ \"]*" | while read -r program; do
          case $program in */bin/* | */sbin/* | */libexec/* | */lib/*) stand_in "$program" ;; esac
        done
      done
      # Whatever else this machine does.
      sed -i 's/MAXLOAD="[0-9]*"/MAXLOAD="99900"/' "$made"/*/rules 2> /dev/null || :
      # What a relay carries to, where one is made.
      sed -n 's/^  \([^ ]*\):\([0-9]*\)\( 1>&3.*\)*$/\1 \2/p' "$made"/*/run | while read -r host port; do
        tcpserver -RHl0 "$host" "$port" sh -c 'echo remote; exec cat' &
      done
      up "$style" "$made"
      for service in "$made"/*; do
        test -e "$service/down" && continue
        eventually answers "$service"
        count=$((count + 1))
      done
      down "$style" "$made"
    done
  done
  ok "$style: services answer, $count so far"
done

# Rules without a server, given to one.
count=0
for kind in hosts ipsvd s6; do
  for case in files/"$kind"/*; do
    test -d "$case" || continue
    case_name=$(basename "$case")
    made=$PWD/made/$kind/$case_name
    (cd "files/$kind" && inetd2tcp -d "$made" "$case_name" > /dev/null 2>&1) || test $? = 1 ||
      fail "$kind/$case_name cannot be converted"
    for service in "$made"/*; do
      test ! -e "$service/rules" || (cd "$service" && tcprules rules.cdb rules.tmp < rules 2> /dev/null)
      rules=
      test ! -e "$service/rules" || rules="-x $service/rules.cdb"
      rm -f port
      tcpserver -1 -RHl0 $rules 0 0 cat > port 2> log &
      server=$!
      eventually test -s port
      address=$(admitted "$service")
      answer=$(heard 0 "$(cat port)" -i "${address:-127.0.0.1}")
      if test -n "$address"; then equal "$answer" hell; else equal "$answer" ''; fi
      kill "$server"
      count=$((count + 1))
    done
  done
done
ok "rules of hosts.allow, ipsvd and s6 admit and deny, $count services"
