package shell

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
)

// A Menu is a "Choose the operation you want to perform:" screen.
type Menu struct {
	Header  func() // prints the text above the menu; may be nil
	Title   string // replaces the line "Choose the operation ..."
	NoTitle bool   // omits that line (B24, tcpdump)
	Items   []Item
}

// An Item is one operation of a Menu.
type Item struct {
	Key    string // the word that the user types, in upper case
	Text   string // a sentence that says what it does
	Hidden bool   // it cannot be chosen now
	Run    func(context.Context) error
}

// Menu shows a menu and runs the operation that the user chooses, again and again, until the answer
// is empty or an operation returns ErrLeaveMenu. It calls m each time for the current menu. If an
// operation returns a refusal, Menu prints it and continues. The user can type a word in upper or
// lower case, and may shorten it as long as it is unambiguous.
func (d Dialogue) Menu(ctx context.Context, m func() Menu) error {
	for {
		menu := m()
		blankLines, writes := 1, d.writeCount
		if menu.Header != nil {
			menu.Header()
		}
		if d.writeCount > writes {
			blankLines = 2
		}
		var b strings.Builder
		if !menu.NoTitle {
			b.WriteString(cmp.Or(menu.Title, "Choose the operation you want to perform:") + "\n")
		}
		for _, it := range menu.offered() {
			fmt.Fprintf(&b, "- %s - %s\n", it.Key, it.Text)
		}
		d.ensureBlankLines(blankLines)
		d.PrintWrapped(strings.TrimSuffix(b.String(), "\n"))
		answer, err := d.Prompt(ctx, "[]> ")
		if err != nil {
			return err
		}
		answer = strings.TrimSpace(answer)
		if answer == "" {
			return nil
		}
		pick, err := menu.Find(answer)
		if err == nil {
			err = pick.Run(ctx)
		}
		text, refused := refusal.Text(err)
		switch {
		case refused:
			d.PrintWrapped(text)
		case errors.Is(err, ErrLeaveMenu):
			return nil
		case err != nil:
			return err
		}
	}
}

// offered returns the items that can be chosen now.
func (m Menu) offered() []Item {
	return slices.DeleteFunc(slices.Clone(m.Items), func(it Item) bool { return it.Hidden })
}

// Find returns the item whose key is word, which may be shortened and in upper or lower case. If
// there is none, or more than one, it returns a refusal. A command with an inline form uses it for
// its arguments.
func (m Menu) Find(word string) (Item, error) {
	var found []Item
	for _, it := range m.offered() {
		if strings.EqualFold(word, it.Key) {
			return it, nil
		}
		if len(word) < len(it.Key) && strings.EqualFold(word, it.Key[:len(word)]) {
			found = append(found, it)
		}
	}
	switch len(found) {
	case 0:
		return Item{}, refusal.Newf("Unknown operation: %s", word)
	case 1:
		return found[0], nil
	}
	return Item{}, refusal.Newf("The word %s is ambiguous: it may mean %s.",
		word, strings.Join(itemKeys(found), " or "))
}

// Keys returns the keys of the items that can be chosen now.
func (m Menu) Keys() []string { return itemKeys(m.offered()) }

func itemKeys(items []Item) []string {
	out := make([]string, len(items))
	for i, it := range items {
		out[i] = it.Key
	}
	return out
}
