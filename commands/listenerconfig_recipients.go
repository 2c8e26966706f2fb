package commands

import (
	"context"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/mta/listener"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// importRecipients replaces the entries of the recipient access table by those of a file.
func (d *listenerDialogue) importRecipients(ctx context.Context) error {
	return importTable(ctx, d.env, d.replaceRecipients)
}

// replaceRecipients replaces the entries by those of an imported text, if they are valid.
func (d *listenerDialogue) replaceRecipients(text string) error {
	entries, err := listener.ParseRecipients(text)
	if err != nil {
		return err
	}
	err = d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		l.Recipients.Entries = entries
		return nil
	})
	if err == nil {
		d.env.Printf("%d entries imported.\n", len(entries))
	}
	return err
}

func (d *listenerDialogue) clearRecipients(ctx context.Context) error {
	sure, err := d.env.Confirm(ctx, "Are you sure you want to remove all entries? "+
		"Mail to all recipients will be rejected.", false)
	if err != nil || !sure {
		return err
	}
	return d.removeAllRecipients()
}

func (d *listenerDialogue) removeAllRecipients() error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		l.Recipients.Entries = nil
		return nil
	})
}

// validation is the menu of the list of the addresses that exist in the accepted domains.
func (d *listenerDialogue) validation(ctx context.Context) error {
	return d.env.Menu(ctx, func() shell.Menu {
		l, _ := listener.Section.Get(d.env.Draft).Find(d.name)
		list := l.Recipients.Known
		none := len(list) == 0
		text := strings.Join(append(slices.Clone(list), ""), "\n")
		return shell.Menu{
			Header: func() {
				if none {
					d.env.Printf("\nRecipients are not validated: all addresses that the table accepts exist.\n")
					return
				}
				d.env.Printf("\nThere are currently %d valid recipients. Others are rejected.\n", len(list))
			},
			Items: []shell.Item{
				{Key: "NEW", Text: "Add addresses.", Run: d.newValid},
				{Key: "DELETE", Text: "Remove an address.", Hidden: none, Run: d.deleteValid},
				{Key: "PRINT", Text: "Display the list.", Hidden: none,
					Run: func(context.Context) error { d.env.Printf("%s", text); return nil }},
				{Key: "IMPORT", Text: "Import the list from a file.", Run: func(ctx context.Context) error {
					return importTable(ctx, d.env, d.replaceValid)
				}},
				{Key: "EXPORT", Text: "Export the list to a file.", Hidden: none,
					Run: func(ctx context.Context) error { return exportTable(ctx, d.env, text) }},
				{Key: "CLEAR", Text: "Remove all addresses, and do not validate recipients.", Hidden: none,
					Run: func(context.Context) error { return d.setValid(nil) }},
			},
		}
	})
}

// setValid sets the list.
func (d *listenerDialogue) setValid(list []string) error {
	return d.edit(func(_ *listener.Settings, l *listener.Listener) error {
		l.Recipients.Known = list
		return l.Recipients.Check()
	})
}

func (d *listenerDialogue) newValid(ctx context.Context) error {
	_, err := d.env.Ask(ctx, "Enter the addresses that exist, separated by commas.", "",
		func(answer string) error {
			list := splitList(answer)
			if len(list) == 0 {
				return refusal.New("Enter at least one address.")
			}
			l, _ := listener.Section.Get(d.env.Draft).Find(d.name)
			return d.setValid(append(slices.Clone(l.Recipients.Known), list...))
		})
	return err
}

func (d *listenerDialogue) deleteValid(ctx context.Context) error {
	_, err := d.env.Ask(ctx, "Enter the address to remove.", "", func(answer string) error {
		l, _ := listener.Section.Get(d.env.Draft).Find(d.name)
		n := slices.IndexFunc(l.Recipients.Known,
			func(known string) bool { return strings.EqualFold(known, answer) })
		if n < 0 {
			return refusal.Newf("%s is not in the list.", visible(answer))
		}
		return d.setValid(slices.Delete(slices.Clone(l.Recipients.Known), n, n+1))
	})
	return err
}

// replaceValid replaces the list by that of an imported text.
func (d *listenerDialogue) replaceValid(text string) error {
	var list []string
	if err := eachTableLine(text, func(line string) error {
		list = append(list, line)
		return nil
	}); err != nil {
		return err
	}
	if err := d.setValid(list); err != nil {
		return err
	}
	d.env.Printf("%d addresses imported.\n", len(list))
	return nil
}
