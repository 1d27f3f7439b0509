# A worker that does what it is asked: one line in, usually one line out.
use strict;
use warnings;

$| = 1;
my ($ready) = @ARGV;
print "$ready\n" if defined $ready;

# Waits, and is not to be called a time.
sub nap { select(undef, undef, undef, $_[0]) }

while (defined(my $line = <STDIN>)) {
    chomp $line;
    my ($word, $rest) = split / /, $line, 2;
    $rest = '' unless defined $rest;
    if ($word eq 'two') { print "$rest\n$rest again\n" }
    elsif ($word eq 'apart') { print "$rest\n"; nap(0.05); print "$rest apart\n" }
    elsif ($word eq 'pieces') { for (split //, "$rest\n") { print $_; nap(0.002) } }
    elsif ($word eq 'nap') { my ($time, $text) = split / /, $rest, 2; nap($time); print "$text\n" }
    elsif ($word eq 'gate') {
        my ($name, $text) = split / /, $rest, 2;
        open my $gate, '<', $name or die "$name: $!";
        close $gate;
        print "$text\n";
    }
    elsif ($word eq 'late') {
        my ($name, $text) = split / /, $rest, 2;
        print "$text\n";
        open my $gate, '<', $name or die "$name: $!";
        close $gate;
        print "$text late\n";
        print STDERR "late\n";
    }
    elsif ($word eq 'long') { print 'x' x $rest, "\n" }
    elsif ($word eq 'part') { print $rest; exit 0 }
    elsif ($word eq 'shot') { print $rest; kill 'KILL', $$ }
    elsif ($word eq 'leave') { exit 0 }
    elsif ($word eq 'last') { print "$rest\n"; exit 0 }
    elsif ($word eq 'hang') { sleep 1000 }
    elsif ($word eq 'stick') { print STDERR "stuck\n"; sleep 1000 }
    elsif ($word eq 'deaf') { $SIG{TERM} = 'IGNORE'; print STDERR "deaf\n"; sleep 1 while 1 }
    elsif ($word eq 'pid') { print "$$\n" }
    elsif ($word eq 'say') { print STDERR "$rest\n"; print "said\n" }
    elsif ($word eq 'length') { print length($rest), "\n" }
    elsif ($word eq 'open') {
        my @open = grep { readlink "/proc/self/fd/$_" } map { s{.*/}{}r } glob '/proc/self/fd/*';
        print join(' ', sort { $a <=> $b } @open), "\n";
    }
    elsif ($word eq 'environment') { print defined $ENV{$rest} ? $ENV{$rest} : 'unset', "\n" }
    else { print "answer $line\n" }
}
