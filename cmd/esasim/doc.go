// Command esasim is a simulated Cisco Email Security Appliance: ssh in, use the
// menu command line, capture packets, fetch the pcap.
//
//	esasim                           run the appliance of topology "lab"
//	esasim serve --topology FILE     run the appliance of a topology of your own
//	esasim topology list             the built-in topologies
//	esasim topology show NAME        the file of one of them
//	esasim topology check FILE       read a topology and report what is wrong with it
//	esasim ctl fault|peer|clock ...  break and repair the network of an appliance that runs
//	esasim health                    whether an appliance that runs is up
//	esasim filter [-d] [-r F] EXPR   try a capture filter outside an appliance
//	esasim help [VERB]               what --help prints
//	esasim version                   the version of this program; also esasim --version
//	esasim completion SHELL          complete the words of this program in bash, zsh or fish
//	esasim man                       the manual page
//	esasim licenses                  the licences of this program and of what it contains
//
// The package holds what only a program has: flags, signals, the data directory,
// what is printed at start, the exit status. The simulator itself is package
// appliance/box. Exit status: 0 after a signal or a shutdown from the command line,
// 1 for every error, which is one line on standard error.
package main
