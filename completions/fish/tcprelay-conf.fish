# Made by package/complete.
complete -c tcprelay-conf -s i -x -d 'relay as this section says (default tcprelay)'
complete -c tcprelay-conf -s I -x -d 'listen as this section says (default spawnd)'
complete -c tcprelay-conf -l help -d 'print this help and exit'
complete -c tcprelay-conf -l version -d 'print the version and exit'
