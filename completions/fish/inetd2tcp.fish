# Made by package/complete.
complete -c inetd2tcp -s d -x -a '(__fish_complete_directories)' -d 'write a folder for each service into this one'
complete -c inetd2tcp -l style -x -a '(string split " " "daemontools runit s6 systemd openrc")' -d 'daemontools, runit, s6, systemd or openrc (default daemontools)'
complete -c inetd2tcp -l logs -x -d 'let log/run read the log by this command of the shell'
complete -c inetd2tcp -l help -d 'print this help and exit'
complete -c inetd2tcp -l version -d 'print the version and exit'
