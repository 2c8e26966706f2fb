package control

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// refuseNulls returns an error if a body that was decoded into a value of type t has a null that
// encoding/json has ignored: null as the value of a text, a number, a boolean or an object, or as an
// element of a list. Null as a list, a map or an optional value says that there is none.
func refuseNulls(body []byte, t reflect.Type) error {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return err
	}
	if value == nil {
		return badRequest("expected a JSON object or list, found null")
	}
	path, found := findNull(value, t, "")
	if !found {
		return nil
	}
	return badField(path, json.RawMessage("null"), "%s: expected a value, found null", path)
}

// findNull returns the path of the first null in value that a variable of type t cannot hold.
func findNull(value any, t reflect.Type, path string) (string, bool) {
	for t.Kind() == reflect.Pointer && value != nil {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]()) {
		return "", false // it has judged the value
	}
	switch value := value.(type) {
	case nil:
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
			return "", false
		}
		return path, true
	case []any:
		return nullInList(value, t, path)
	case map[string]any:
		for key, element := range value {
			of, ok := typeOfKey(t, key)
			if !ok {
				continue
			}
			at := strings.TrimPrefix(path+"."+key, ".")
			if at, found := findNull(element, of, at); found {
				return at, true
			}
		}
	}
	return "", false
}

// nullInList is findNull for a list, which has no null itself.
func nullInList(list []any, t reflect.Type, path string) (string, bool) {
	if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
		return "", false
	}
	for i, element := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		if element == nil {
			return at, true
		}
		if at, found := findNull(element, t.Elem(), at); found {
			return at, true
		}
	}
	return "", false
}

// typeOfKey returns the type of the value that belongs to a key of an object in a map or struct t.
func typeOfKey(t reflect.Type, key string) (reflect.Type, bool) {
	switch t.Kind() {
	case reflect.Map:
		return t.Elem(), true
	case reflect.Struct:
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "" {
				name = f.Name
			}
			if f.IsExported() && !f.Anonymous && strings.EqualFold(name, key) {
				return f.Type, true
			}
		}
	}
	return nil, false
}
