package commands

import (
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/shell"
)

// listenersInline executes the inline form.
func listenersInline(env *shell.Env) error {
	verb, args := strings.ToLower(env.Args[0]), env.Args[1:]
	if verb != "edit" && verb != "delete" {
		return shell.InvalidArgumentf(printable(env.Args[0]), "The operation must be edit or delete.")
	}
	if len(args) == 0 {
		return shell.InvalidArgumentf(verb, "The name of a listener is required.")
	}
	s := listener.Section.Get(env.Draft)
	n := listenerIndex(s, args[0])
	if n < 0 {
		return shell.InvalidArgumentf(printable(args[0]), "The listener does not exist.")
	}
	l := s.Listeners[n]
	if verb == "delete" {
		if len(args) > 1 {
			return shell.InvalidArgumentf(printable(args[1]), "No more arguments are expected.")
		}
		return editSection(env, listener.Section, func(s *listener.Settings) error {
			s.Listeners = slices.Delete(s.Listeners, n, n+1)
			return nil
		})
	}
	d := &listenerDialogue{env, l.Name}
	words := slices.Clone(args[1:])
	for i := range words {
		words[i] = strings.ToLower(words[i])
	}
	switch {
	case slices.Equal(words, []string{"hostaccess", "print"}):
		printHosts(env, l.Hosts)
		return nil
	case slices.Equal(words, []string{"rcptaccess", "print"}) && l.Type == listener.Public:
		printRecipients(env, l)
		return nil
	case len(words) >= 6 && slices.Equal(words[:3], []string{"hostaccess", "edit", "sendergroup"}) &&
		(words[4] == "new" || words[4] == "delete"):
		return d.changeGroupInline(args[4], words[4], strings.Join(args[6:], " "))
	}
	return shell.InvalidArgumentf(printable(strings.Join(env.Args, " ")),
		"Type help listenerconfig for the arguments.")
}

// changeGroupInline adds hosts to a sender group, or removes one.
func (d *listenerDialogue) changeGroupInline(group, verb, hosts string) error {
	return d.editHosts(func(t *listener.HostTable) error {
		n := groupIndex(t, group)
		if n < 0 {
			return shell.InvalidArgumentf(printable(group), "The sender group does not exist.")
		}
		if verb == "new" {
			return invalidArgument(hosts, addHosts(&t.Groups[n], hosts))
		}
		return invalidArgument(hosts, removeHost(&t.Groups[n], hosts))
	})
}
