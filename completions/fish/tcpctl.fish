# Made by package/complete.
complete -c tcpctl -l json -d 'answer for programs, in JSON'
complete -c tcpctl -l help -d 'print this help and exit'
complete -c tcpctl -l version -d 'print the version and exit'
