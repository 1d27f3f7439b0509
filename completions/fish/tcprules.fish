# Made by package/complete.
complete -c tcprules -l check -d 'say what is odd about rules, and compile nothing'
complete -c tcprules -l json -d 'say it in JSON'
complete -c tcprules -l diff -d 'say what rules change against compiled ones'
complete -c tcprules -l set -x -d '%name in rules means the prefixes in file, for a set name=file'
complete -c tcprules -l help -d 'print this help and exit'
complete -c tcprules -l version -d 'print the version and exit'
