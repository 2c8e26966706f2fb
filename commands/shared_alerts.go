package commands

import (
	"github.com/esasim/esasim/appliance/alert"
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
