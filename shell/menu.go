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
	Absent bool   // it does not exist in this version or for this role
	Hidden bool   // it is not listed, and a user who types its word is told that it is not possible
	// Unlisted omits an operation that is not possible now. A user who types its word
	// nevertheless gets the refusal that Run returns, which says why.
	Unlisted bool
	Run      func(context.Context) error
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
		for _, it := range menu.listed() {
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
		switch {
		case d.showRefusal(err):
		case errors.Is(err, ErrLeaveMenu):
			return nil
		case err != nil:
			return err
		}
	}
}

// listed returns the items that the menu shows.
func (m Menu) listed() []Item {
	return slices.DeleteFunc(slices.Clone(m.Items),
		func(it Item) bool { return it.Absent || it.Hidden || it.Unlisted })
}

// unlisted returns the other items whose words a user may know.
func (m Menu) unlisted() []Item {
	return slices.DeleteFunc(slices.Clone(m.Items),
		func(it Item) bool { return it.Absent || !it.Hidden && !it.Unlisted })
}

// An UnknownOperationError is the refusal of a word that means no item of a menu.
type UnknownOperationError struct{ Word string }

// Error returns the text that is shown.
func (e *UnknownOperationError) Error() string { return "Unknown operation: " + e.Word }

// Unwrap returns a refusal with the text.
func (e *UnknownOperationError) Unwrap() error { return refusal.New(e.Error()) }

// Find returns the item whose key is word, which may be shortened and in upper or lower case. An
// item that is not listed is found if word means no other. If there is no item, or more than one,
// or a hidden one, Find returns a refusal. A command with an inline form uses it for its arguments.
// If word means nothing, the refusal is an *UnknownOperationError.
func (m Menu) Find(word string) (Item, error) {
	exact := func(it Item) bool { return strings.EqualFold(word, it.Key) }
	short := func(it Item) bool {
		return len(word) < len(it.Key) && strings.EqualFold(word, it.Key[:len(word)])
	}
	listed, unlisted := m.listed(), m.unlisted()
	for _, found := range [][]Item{
		matching(listed, exact), matching(unlisted, exact),
		matching(listed, short), matching(unlisted, short),
	} {
		switch {
		case len(found) == 0:
			continue
		case len(found) > 1:
			return Item{}, refusal.Newf("The word %s is ambiguous: it may mean %s.",
				word, strings.Join(itemKeys(found), " or "))
		case found[0].Hidden:
			return Item{}, refusal.Newf("The operation %s is not possible now.", found[0].Key)
		}
		return found[0], nil
	}
	return Item{}, &UnknownOperationError{word}
}

func matching(items []Item, match func(Item) bool) []Item {
	return slices.DeleteFunc(slices.Clone(items), func(it Item) bool { return !match(it) })
}

// Keys returns the keys of the items that the menu shows.
func (m Menu) Keys() []string { return itemKeys(m.listed()) }

func itemKeys(items []Item) []string {
	out := make([]string, len(items))
	for i, it := range items {
		out[i] = it.Key
	}
	return out
}
