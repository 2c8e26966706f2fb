package commands

import (
	"github.com/esasim/esasim/appliance/alert"
	"github.com/esasim/esasim/appliance/refusal"
	"github.com/esasim/esasim/shell"
)

// This file holds the code that alertconfig and systemsetup share.

// autoSupportName returns this version's name of AutoSupport.
func autoSupportName(env *shell.Env) string {
	if env.Appliance.Product.IronPort() {
		return "IronPort AutoSupport"
	}
	return "Cisco IronPort AutoSupport"
}

// editAlerts changes the draft's settings, if the result is valid. change holds the whole
// conversation.
func editAlerts(env *shell.Env, change func(*alert.Settings) error) error {
	return editSection(env, alert.Section, func(s *alert.Settings) error {
		if err := change(s); err != nil {
			return err
		}
		return s.Check()
	})
}

// parseAddresses returns mail addresses with commas between them.
func parseAddresses(answer string) ([]string, error) {
	list := splitList(answer)
	if len(list) == 0 {
		return nil, refusal.New("Enter at least one address.")
	}
	for _, address := range list {
		if err := alert.CheckAddress(address); err != nil {
			return nil, err
		}
	}
	return list, nil
}
