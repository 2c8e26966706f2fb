// Package commands holds the appliance's commands, one word in one file.
//
// commit.go begins with the registration of commit, and the rest of it is what only commit
// needs. A command that outgrows one file gets more of them with its name in front, such as
// logconfig_form.go. What several commands use is in shared_*.go. So a directory listing is
// the list of commands, and a command exists as soon as its file does: there is no other
// list to edit. No file uses what another command's files declare. conventions_test.go holds
// these rules.
//
// commit.txtar beside it holds the conversations that show how commit behaves.
// TestTranscripts plays them in lock step through a real SSH client;
//
//	go test ./commands -update
//
// rewrites them.
package commands
