# Made by package/complete.
complete -c time@ -s m -x -d 'exit with 1 when a clock differs by more'
complete -c time@ -s t -x -d 'give each host this many seconds (default 10)'
complete -c time@ -l help -d 'print this help and exit'
complete -c time@ -l version -d 'print the version and exit'
complete -c time@ -f -a '(__fish_print_hostnames)'
