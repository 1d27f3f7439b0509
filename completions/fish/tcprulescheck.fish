# Made by package/complete.
complete -c tcprulescheck -l explain -d 'print each key that is tried, in order'
complete -c tcprulescheck -l help -d 'print this help and exit'
complete -c tcprulescheck -l version -d 'print the version and exit'
