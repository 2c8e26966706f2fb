// Package commands holds the appliance's commands: one word, one file.
//
// commit.go begins with the registration of commit, and commit.txtar beside it
// holds the conversations that show how it behaves; they are played by
// TestTranscripts, in lock step through a real SSH client, and rewritten with
//
//	go test ./commands -update
//
// A command exists as soon as its file does: there is no list to edit. Its file
// uses nothing that another command's file declares; what several share stands in
// a file that registers no command. A command that outgrows one file gets sisters
// by prefix: logconfig_form.go. Held by conventions_test.go.
package commands
