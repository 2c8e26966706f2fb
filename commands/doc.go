// Package commands holds the appliance's commands, each in a file of its own.
//
// commit.go, for example, registers commit and has the code that only commit needs. A command that
// outgrows one file has further files that begin with its name, such as logconfig_form.go. Code
// that several commands use is in shared_*.go. A directory listing is therefore the list of
// commands, and a new file is enough to add a command: there is no other list to edit. The files of
// a command use no identifiers of another command's files. conventions_test.go enforces these
// rules.
//
// # Terms
//
//   - inline form: a command with its arguments on one line, without questions. An SSH
//     command line ("ssh host 'netstat 4'") is always inline.
//   - transcript: a file <word>.txtar or <word>_<what>.txtar with a script and the
//     conversations that it plays.
//   - attested: printed by the real appliance. The field Source of a command says which
//     document shows its text; text without a document is "invented".
//
// # Transcripts
//
// commit.txtar holds the conversations that show how commit behaves. TestTranscripts plays
// them in lock step through a real SSH client. How a conversation is written, with its keys
// and its placeholders for measured values, is documented in package shell/shelltest. The
// scripts are those of testscript (github.com/rogpeppe/go-internal), with these verbs:
//
//	box                     start a box other than the default; must come first
//	    -topology NAME          in another network
//	    -version 8.5.6-106      of another version
//	    -machine                on the machine's clock: a ping's second takes a second
//	    -timeout 500ms          that waits no longer for answers of the network
//	session NAME...         play conversations of the archive, each in a login of its own
//	    -in LABEL               in a login that stays open for the next one with this label
//	    -user U -pass P         not as admin
//	    -size 80x24             on a terminal of another size
//	clock +31m              advance the clock
//	ssh LINE                run a command line; stdout is its output
//	send SUBJECT FROM TO...     send a message through the SMTP door
//	tried N                 wait until deliveries to N recipients have been tried
//	alert CLASS SEVERITY TEXT   raise an alert
//
// A script without the verb box has the default one: topology lab, seed 1, and a clock that
// stands at 2015-06-25 08:50:03 GMT until the script advances it.
//
// # Rewriting transcripts
//
//	go test ./commands -update
//
// rewrites the transcripts of commands whose Source begins with "invented", and reports each
// rewritten file, with the number of lines, as a failure. Any other command has text that a
// document attests, which must not change because the program did: -update plays its
// transcripts as usual. Change them by hand, or, if the new text is the document's or is not
// attested,
//
//	go test ./commands -update-attested -run TestTranscripts/netstat
//
// rewrites them, too. Read the difference line by line before you commit it.
package commands
