package shell

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/esasim/esasim/appliance/refusal"
)

// A Field is one question of a form. It shows the current value of a variable as the default and
// stores the answer in that variable, so that NEW and EDIT can use the same form.
type Field func(context.Context, Dialogue) error

// Form asks the fields in order. It returns the first error.
func (d Dialogue) Form(ctx context.Context, fields ...Field) error {
	for _, f := range fields {
		if err := f(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

// Text asks for a string. A nil check accepts every answer.
func Text(dst *string, question string, check func(string) error) Field {
	return func(ctx context.Context, d Dialogue) error {
		s, err := d.Ask(ctx, question, *dst, check)
		if err == nil {
			*dst = s
		}
		return err
	}
}

// Required is a check that refuses an empty answer.
func Required(answer string) error {
	if answer == "" {
		return refusal.New("A value is required.")
	}
	return nil
}

// Number asks for an integer from minimum to maximum.
func Number[T ~int | ~int64](dst *T, question string, minimum, maximum T) Field {
	return func(ctx context.Context, d Dialogue) error {
		n := *dst
		_, err := d.Ask(ctx, question, fmt.Sprint(int64(n)), func(s string) error {
			v, err := strconv.ParseInt(s, 10, 64)
			if err != nil || v < int64(minimum) || v > int64(maximum) {
				return refusal.Newf("The value must be an integer from %d to %d.", minimum, maximum)
			}
			n = T(v)
			return nil
		})
		if err == nil {
			*dst = n
		}
		return err
	}
}

// YesNo asks a yes-or-no question.
func YesNo(dst *bool, question string) Field {
	return func(ctx context.Context, d Dialogue) error {
		b, err := d.Confirm(ctx, question, *dst)
		if err == nil {
			*dst = b
		}
		return err
	}
}

// OneOf asks for one of the values, which are listed as fmt.Sprint formats them. If the current
// value is not one of them, there is no default.
func OneOf[T comparable](dst *T, question string, values ...T) Field {
	return func(ctx context.Context, d Dialogue) error {
		names := make([]string, len(values))
		for i, v := range values {
			names[i] = fmt.Sprint(v)
		}
		i, err := d.Choose(ctx, question, slices.Index(values, *dst), names...)
		if err == nil {
			*dst = values[i]
		}
		return err
	}
}

// SomeOf asks for one or more of the values, separated by commas.
func SomeOf[T comparable](dst *[]T, question string, values ...T) Field {
	return func(ctx context.Context, d Dialogue) error {
		names := make([]string, len(values))
		var def []int
		for i, v := range values {
			names[i] = fmt.Sprint(v)
			if slices.Contains(*dst, v) {
				def = append(def, i)
			}
		}
		picked, err := d.ChooseSeveral(ctx, question, def, names...)
		if err != nil {
			return err
		}
		out := make([]T, len(picked))
		for i, n := range picked {
			out[i] = values[n]
		}
		*dst = out
		return nil
	}
}

// When asks the fields only if cond returns true. It calls cond when the fields before it have been
// answered.
func When(cond func() bool, fields ...Field) Field {
	return func(ctx context.Context, d Dialogue) error {
		if !cond() {
			return nil
		}
		return d.Form(ctx, fields...)
	}
}
