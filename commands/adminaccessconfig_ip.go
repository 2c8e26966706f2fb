package commands

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"

	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/appliance/users"
	"github.com/esasim/esasim/shell"
)

// ipAccess is the menu of the addresses from which access is permitted.
func (a *accessDialogue) ipAccess(ctx context.Context) error {
	return a.env.Menu(ctx, func() shell.Menu {
		v := a.get()
		edit := func(change func(context.Context, *users.AdminAccess) error) func(context.Context) error {
			return func(ctx context.Context) error {
				return a.edit(func(v *users.AdminAccess) error { return change(ctx, v) })
			}
		}
		return shell.Menu{
			Header: func() { a.showAddresses(v) },
			Items: []shell.Item{
				{Key: "ALLOWALL", Text: "Permit access from every address.",
					Hidden: !v.Restricted, Run: edit(allowAll)},
				{Key: "RESTRICT", Text: "Permit access from listed addresses only.",
					Hidden: v.Restricted, Run: edit(a.restrict)},
				{Key: "NEW", Text: "Add addresses to the list.", Run: edit(a.addAddresses)},
				{Key: "DELETE", Text: "Remove an address from the list.",
					Hidden: len(v.Allowed) == 0, Run: edit(a.deleteAddress)},
			},
		}
	})
}

func allowAll(_ context.Context, v *users.AdminAccess) error {
	v.Restricted = false
	return nil
}

func (a *accessDialogue) restrict(ctx context.Context, v *users.AdminAccess) error {
	if len(v.Allowed) == 0 {
		if err := a.askAddresses(ctx, v); err != nil {
			return err
		}
	}
	v.Restricted = true
	return a.offerToAdmitSelf(ctx, v)
}

func (a *accessDialogue) addAddresses(ctx context.Context, v *users.AdminAccess) error {
	if err := a.askAddresses(ctx, v); err != nil {
		return err
	}
	return a.offerToAdmitSelf(ctx, v)
}

func (a *accessDialogue) showAddresses(v users.AdminAccess) {
	switch {
	case v.Restricted:
		a.env.Printf("\nAccess is permitted from these addresses only:\n")
	case len(v.Allowed) > 0:
		a.env.Printf("\nAccess is permitted from every address. The list is not in use:\n")
	default:
		a.env.Printf("\nAccess is permitted from every address.\n")
	}
	a.env.List(networkTexts(v.Allowed)...)
}

func networkTexts(list []netip.Prefix) []string {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = users.FormatNetwork(p)
	}
	return texts
}

// askAddresses asks for addresses and adds them to the list.
func (a *accessDialogue) askAddresses(ctx context.Context, v *users.AdminAccess) error {
	const question = "Enter the addresses or networks, with commas between them."
	_, err := a.env.Ask(ctx, question, "", func(answer string) error {
		words := strings.FieldsFunc(answer, func(r rune) bool { return strings.ContainsRune(", \t", r) })
		if len(words) == 0 {
			return shell.Required("")
		}
		list, _, err := addNetworks(v.Allowed, words)
		if err == nil {
			v.Allowed = list
		}
		return err
	})
	return err
}

// addNetworks returns list with those networks added that it does not contain yet. If a word
// is not a network, addNetworks returns that word and an error.
func addNetworks(list []netip.Prefix, words []string) (
	all []netip.Prefix, invalid string, err error) {
	all = slices.Clone(list)
	for _, w := range words {
		p, err := users.ParseNetwork(w)
		if err != nil {
			return nil, w, err
		}
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all, "", nil
}

func (a *accessDialogue) deleteAddress(ctx context.Context, v *users.AdminAccess) error {
	if v.Restricted && len(v.Allowed) == 1 {
		return refusal.New("The last address cannot be removed while access is restricted. " +
			"Choose ALLOWALL first.")
	}
	n, err := a.env.Choose(ctx, "Choose the address to remove.", -1, networkTexts(v.Allowed)...)
	if err != nil {
		return err
	}
	v.Allowed = slices.Delete(v.Allowed, n, n+1)
	return a.offerToAdmitSelf(ctx, v)
}

// offerToAdmitSelf asks an administrator whose own address is not on the list whether to add
// it.
func (a *accessDialogue) offerToAdmitSelf(ctx context.Context, v *users.AdminAccess) error {
	if from := a.env.ClientAddr; !v.Admits(from) {
		a.env.PrintWrapped(fmt.Sprintf("The list does not contain your current address, %v. "+
			"This session continues, but once the change is committed, "+
			"you can no longer log in from there.", from))
		add, err := a.env.Confirm(ctx, fmt.Sprintf("Do you want to add %v to the list?", from), true)
		if err != nil {
			return err
		}
		if add {
			v.Allowed = append(v.Allowed, netip.PrefixFrom(from, from.BitLen()))
		}
	}
	return nil
}

func inlineIPAccess(v *users.AdminAccess, word string, args []string) error {
	const expected = "Expected one of: allowall, restrict, new <address>..., delete <address>...."
	if len(args) == 0 {
		return shell.InvalidArgumentf(word, expected)
	}
	switch verb, args := strings.ToLower(args[0]), args[1:]; {
	case verb == "allowall" && len(args) == 0:
		v.Restricted = false
	case verb == "restrict" && len(args) == 0:
		if len(v.Allowed) == 0 {
			return shell.InvalidArgumentf(verb, "No address is listed: add one with new.")
		}
		v.Restricted = true
	case verb == "new" && len(args) > 0:
		list, invalid, err := addNetworks(v.Allowed, args)
		if err != nil {
			return invalidArgument(invalid, err)
		}
		v.Allowed = list
	case verb == "delete" && len(args) > 0:
		return inlineDeleteAddresses(v, args)
	default:
		return shell.InvalidArgumentf(verb, expected)
	}
	return nil
}

func inlineDeleteAddresses(v *users.AdminAccess, words []string) error {
	for _, w := range words {
		p, err := users.ParseNetwork(w)
		if err != nil {
			return invalidArgument(w, err)
		}
		i := slices.Index(v.Allowed, p)
		if i < 0 {
			return shell.InvalidArgumentf(w, "The address is not on the list.")
		}
		v.Allowed = slices.Delete(v.Allowed, i, i+1)
	}
	if v.Restricted && len(v.Allowed) == 0 {
		return shell.InvalidArgumentf(words[len(words)-1],
			"The last address cannot be removed while access is restricted.")
	}
	return nil
}

// maxTextSize bounds the size of a text, whether it is read from a file or typed.
const maxTextSize = 64 << 10

// readText reads a banner or a welcome message from the directory configuration.
func (a *accessDialogue) readText(name string) (string, error) {
	f, err := openConfigFile(a.env, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTextSize))
	if err != nil {
		return "", fmt.Errorf("read a text: %w", err)
	}
	return checkText(strings.ReplaceAll(string(b), "\r\n", "\n"))
}
