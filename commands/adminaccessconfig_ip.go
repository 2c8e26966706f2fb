package commands

import (
	"context"
	"errors"
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
		return shell.Menu{
			Header: func() { a.showAddresses(v) },
			Items: []shell.Item{
				{Key: "ALLOWALL", Text: "Permit access from every address.", Hidden: !v.Restricted, Run: func(context.Context) error {
					return a.edit(func(v *users.AdminAccess) error {
						v.Restricted = false
						return nil
					})
				}},
				{Key: "RESTRICT", Text: "Permit access from listed addresses only.", Hidden: v.Restricted, Run: func(ctx context.Context) error {
					return a.edit(func(v *users.AdminAccess) error {
						if len(v.Allowed) == 0 {
							if err := a.addAddresses(ctx, v); err != nil {
								return err
							}
						}
						v.Restricted = true
						return a.offerToAdmitSelf(ctx, v)
					})
				}},
				{Key: "NEW", Text: "Add addresses to the list.", Run: func(ctx context.Context) error {
					return a.edit(func(v *users.AdminAccess) error {
						if err := a.addAddresses(ctx, v); err != nil {
							return err
						}
						return a.offerToAdmitSelf(ctx, v)
					})
				}},
				{Key: "DELETE", Text: "Remove an address from the list.", Hidden: len(v.Allowed) == 0, Run: func(ctx context.Context) error {
					return a.edit(func(v *users.AdminAccess) error { return a.deleteAddress(ctx, v) })
				}},
			},
		}
	})
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

func (a *accessDialogue) addAddresses(ctx context.Context, v *users.AdminAccess) error {
	_, err := a.env.Ask(ctx, "Enter the addresses or networks, with commas between them.", "", func(answer string) error {
		words := strings.FieldsFunc(answer, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
		if len(words) == 0 {
			return shell.Required("")
		}
		list, err := addNetworks(v.Allowed, words)
		if err != nil {
			return refusal.New(err.Error())
		}
		v.Allowed = list
		return nil
	})
	return err
}

// withNetworks is list with the networks that it does not have yet. The error is a
// *networkError.
func addNetworks(list []netip.Prefix, words []string) ([]netip.Prefix, error) {
	list = slices.Clone(list)
	for _, w := range words {
		p, err := users.ParseNetwork(w)
		if err != nil {
			return nil, &networkError{w, err}
		}
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list, nil
}

// A networkError says which word is no network.
type networkError struct {
	word string
	err  error
}

func (e *networkError) Error() string { return e.err.Error() }

func (a *accessDialogue) deleteAddress(ctx context.Context, v *users.AdminAccess) error {
	if v.Restricted && len(v.Allowed) == 1 {
		return refusal.New("The last address cannot be removed while access is restricted. Choose ALLOWALL first.")
	}
	n, err := a.env.Choose(ctx, "Choose the address to remove.", -1, networkTexts(v.Allowed)...)
	if err != nil {
		return err
	}
	v.Allowed = slices.Delete(v.Allowed, n, n+1)
	return a.offerToAdmitSelf(ctx, v)
}

// admitSelf asks somebody who would lock out himself whether to be added.
func (a *accessDialogue) offerToAdmitSelf(ctx context.Context, v *users.AdminAccess) error {
	if from := a.env.ClientAddr; !v.Admits(from) {
		a.env.PrintWrapped(fmt.Sprintf("The list does not contain your present address, %v. This session goes on, but you cannot log in from there again once the change is committed.", from))
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
		list, err := addNetworks(v.Allowed, args)
		var no *networkError
		if errors.As(err, &no) {
			return shell.InvalidArgumentf(no.word, "%v", no)
		}
		v.Allowed = list
	case verb == "delete" && len(args) > 0:
		return inlineDelete(v, args)
	default:
		return shell.InvalidArgumentf(verb, expected)
	}
	return nil
}

func inlineDelete(v *users.AdminAccess, words []string) error {
	for _, w := range words {
		p, err := users.ParseNetwork(w)
		if err != nil {
			return shell.InvalidArgumentf(w, "%v", err)
		}
		i := slices.Index(v.Allowed, p)
		if i < 0 {
			return shell.InvalidArgumentf(w, "The address does not exist in the list.")
		}
		v.Allowed = slices.Delete(v.Allowed, i, i+1)
	}
	if v.Restricted && len(v.Allowed) == 0 {
		return shell.InvalidArgumentf(words[len(words)-1], "The last address cannot be removed while access is restricted.")
	}
	return nil
}

// maxImport is what is read of a file, and of what is typed, at most.
const maxImport = 64 << 10

// readText reads a banner or a welcome message from the directory configuration.
func (a *accessDialogue) readText(name string) (string, error) {
	f, err := openConfigFile(a.env, name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxImport))
	if err != nil {
		return "", fmt.Errorf("read a text: %w", err)
	}
	return checkText(strings.ReplaceAll(string(b), "\r\n", "\n"))
}
