package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	mangokong "github.com/alecthomas/mango-kong"
	"github.com/muesli/roff"
)

// man prints the manual page, which is made of the help texts of verbs and flags.
type man struct{}

// Help is shown by esasim man --help.
func (man) Help() string { return "To read it: esasim man | man -l -" }

// manDescription is the line after the program's name and, below it, the description.
const manDescription = "a simulated Cisco Email Security Appliance\n" +
	"Without a verb, esasim runs the appliance of the topology lab, in a simulated network of" +
	" hosts and servers inside of the process. It prints the addresses at which the appliance" +
	" listens on this machine: log in with ssh as admin, with the passphrase ironport.\n" +
	"Every frame in the simulated network is real. The command packetcapture of the appliance" +
	" records them, and sftp, scp, ftp and a browser fetch the file.\n" +
	"A topology describes the network and the appliance: see esasim topology list. esasim ctl" +
	" breaks the network of an appliance while it runs, and repairs it."

// manSections returns the parts of the page that are not made of help texts.
func manSections() []struct{ name, text string } {
	return []struct{ name, text string }{
		{"Environment", socketVariable + ": the control socket or the data directory that esasim ctl" +
			" and esasim health use without --socket.\n" +
			"XDG_STATE_HOME: the directory below which data directories are created;" +
			" ~/.local/state if it is not set."},
		{"Files", "~/.local/state/esasim/TOPOLOGY: the data directory of the appliance that runs a" +
			" topology.\n" +
			"~/.local/state/esasim/TOPOLOGY/" + socketName + ": the control socket of that appliance.\n" +
			"~/.local/state/esasim/" + keyName + ": the SSH host key of all appliances of a user."},
		{"Exit status", "0 after a signal, or after an administrator has shut the appliance down.\n" +
			"1 after an error, which is one line on standard error."},
		{"Reporting bugs", "https://github.com/esasim/esasim/issues"},
	}
}

func (man) Run(k *kong.Kong, t stdio) error {
	k.Model.Help = manDescription
	describeArguments(k.Model.Node)
	page := mangokong.NewManPage(1, k.Model)
	for _, s := range manSections() {
		page = page.WithSection(s.name, s.text)
	}
	_, err := io.WriteString(t.out, page.Build(datedDocument{roff.NewDocument()})+"\n")
	return err
}

// A datedDocument has the date of the commit of which the program was built, if that is known, so that
// one commit has one page.
type datedDocument struct{ *roff.Document }

// Heading implements mango.Builder.
func (d datedDocument) Heading(section uint, title, description string, now time.Time) {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if committed, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				now = committed
			}
		}
	}
	d.Document.Heading(section, title, description, now)
}

// describeArguments adds arguments and details to the help of a verb, because mangokong leaves
// them out, and escapes percent signs, because package roff takes them for verbs of a format.
// Afterwards the model can only be used for the page.
func describeArguments(node *kong.Node) {
	text := node.Help
	if node.Detail != "" && node.Type == kong.CommandNode {
		text += " " + node.Detail
		node.Detail = ""
	}
	for _, arg := range node.Positional {
		text += fmt.Sprintf(" %s: %s", arg.Summary(), arg.Help)
	}
	node.Help = strings.ReplaceAll(text, "%", "%%")
	for _, flag := range node.Flags {
		flag.Help = strings.ReplaceAll(flag.Help, "%", "%%")
	}
	for _, child := range node.Children {
		describeArguments(child)
	}
}
