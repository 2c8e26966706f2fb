package shell

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// A Menu is a "Choose the operation you want to perform:" screen.
type Menu struct {
	Head    func() // prints what stands above the choices each time round; may be nil
	NoTitle bool   // leaves out the line "Choose the operation ..." (B24, tcpdump)
	Items   []Item
}

// An Item is one operation of a Menu.
type Item struct {
	Key  string // the word to type, in upper case
	Text string // what it does: a sentence
	Hide bool   // not offered now
	Run  func(context.Context) error
}

// Menu shows what m returns again and again, until the answer is empty or an
// operation returns ErrDone. m is called before each showing. A Refusal that an
// operation returns is printed, and the menu goes on. Words are accepted in any
// case, and cut short where that leaves one meaning.
func (d Dialogue) Menu(ctx context.Context, m func() Menu) error {
	for {
		menu := m()
		above, writes := 1, d.writes
		if menu.Head != nil {
			menu.Head()
		}
		if d.writes > writes {
			above = 2
		}
		offered := make([]Item, 0, len(menu.Items))
		var b strings.Builder
		if !menu.NoTitle {
			b.WriteString("Choose the operation you want to perform:\n")
		}
		for _, it := range menu.Items {
			if !it.Hide {
				offered = append(offered, it)
				fmt.Fprintf(&b, "- %s - %s\n", it.Key, it.Text)
			}
		}
		d.gap(above)
		d.Prose(strings.TrimSuffix(b.String(), "\n"))
		answer, err := d.Prompt(ctx, "[]> ")
		if err != nil {
			return err
		}
		answer = strings.TrimSpace(answer)
		if answer == "" {
			return nil
		}
		pick, err := operation(answer, offered)
		if err == nil {
			err = pick.Run(ctx)
		}
		var no Refusal
		switch {
		case errors.As(err, &no):
			d.Prose(string(no))
		case errors.Is(err, ErrDone):
			return nil
		case err != nil:
			return err
		}
	}
}

// operation finds the item that answer names, whole or cut short.
func operation(answer string, offered []Item) (Item, error) {
	var found []Item
	for _, it := range offered {
		if strings.EqualFold(answer, it.Key) {
			return it, nil
		}
		if len(answer) < len(it.Key) && strings.EqualFold(answer, it.Key[:len(answer)]) {
			found = append(found, it)
		}
	}
	switch len(found) {
	case 0:
		return Item{}, Refusef("Unknown operation: %s", answer)
	case 1:
		return found[0], nil
	}
	keys := make([]string, len(found))
	for i, it := range found {
		keys[i] = it.Key
	}
	return Item{}, Refusef("The word %s is ambiguous: it may mean %s.", answer, strings.Join(keys, " or "))
}
