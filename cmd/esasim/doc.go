// Command esasim is a simulated Cisco Email Security Appliance: ssh in, use the menu command
// line, capture packets, fetch the pcap.
//
//	esasim                           run the appliance of topology "lab"
//	esasim serve --topology FILE     run the appliance of a topology of your own
//	esasim ctl fault|peer|clock ...  break and repair the world of a running appliance
//	esasim health                    ask a running appliance whether it is up
//	esasim topology list             list the built-in topologies
//	esasim topology show NAME        print the file of a built-in topology
//	esasim topology check FILE       read a topology and report what is wrong with it
//	esasim filter [-d] [-r F] EXPR   try a capture filter outside an appliance
//	esasim help [VERB]               print what --help prints
//	esasim man                       print the manual page
//	esasim completion SHELL          let bash, zsh or fish complete the words of this program
//	esasim version                   print the version; --version does the same
//	esasim licenses                  print the licenses of this program and of its modules
//
// The package contains what only a program has: flags, signals, the data directory, the
// texts that are printed at start, the exit status. The simulator itself is package
// appliance/box. The exit status is 0 after a signal, or after an administrator has shut
// the appliance down, and 1 after an error, which is one line on standard error.
//
// # Terms
//
//   - A verb is a word that selects what the program does, such as serve or ctl fault add. A
//     command is a word of the appliance's command line.
//   - The data directory keeps the configuration and files of one appliance. One process uses
//     it at a time. Its mark names the topology for which it was created, so that an appliance
//     is not started with the files of another.
//   - The control socket, ctl.sock in the data directory, answers esasim ctl and esasim
//     health: see package control.
//
// # Help, completion and the manual page
//
// The help texts are tags of the flags. The manual page and the shell completion are made from
// the same flags, so that they are complete. The tag predictor names the words that a shell
// completes: see predictors.
package main
