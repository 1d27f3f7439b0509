# Made by package/complete.
complete -c tcprulescheck -l explain -d 'print each key that is tried, in order'
complete -c tcprulescheck -l source -r -F -d 'with --explain, say in which line of this file the rule is'
complete -c tcprulescheck -l replay -d 'read a log of tcpserver, and say who would now be decided otherwise'
complete -c tcprulescheck -l set -x -d '%name in rules means the prefixes in file, for a set name=file'
complete -c tcprulescheck -l help -d 'print this help and exit'
complete -c tcprulescheck -l version -d 'print the version and exit'
