package config

import (
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// form is how a value is written in the file.
type form int

const (
	formText   form = iota // a scalar, quoted or not
	formPath               // a scalar; a relative one is joined to a base
	formNumber             // a scalar without quotes
	formBool               // a scalar without quotes
	formTime               // a scalar, quoted or not: number of seconds, or with units
	formSize               // a scalar: number of bytes with its unit
	formList               // a sequence of scalars
	formMap                // a mapping of scalars, whose entries read NAME=value
)

// String is the form's name in the usage of a flag.
func (f form) String() string {
	return [...]string{"string", "path", "int", "bool", "duration", "string", "list", "name=value"}[f]
}

// value describes how one key's value is written, checked and stored. From every
// source it arrives as entries: one for a scalar, any number for the others.
type value struct {
	form    form
	allowed string
	// least and most bound a number, or a time in seconds.
	least, most float64
	// names are the values of a choice, aliases other spellings that are read as
	// one of them; nil for anything else.
	names, aliases []string
	// set stores the entries in the field of c, or refuses some and changes nothing.
	set func(c *Config, entries []string) []refusal
	// get returns the field as entries that set would accept.
	get func(c *Config) []string
}

// refusal is an entry that is not allowed.
type refusal struct {
	index int    // in the entries
	entry string // as given
	why   string // the reason, if there is more to say than what is allowed; may be empty
}

// text says what is wrong and what is allowed.
func (r refusal) text(k key) string {
	if r.why != "" {
		return r.why + "; want " + k.allowed
	}
	return "want " + k.allowed
}

// scalar is a value of one entry.
func scalar[T any](f form, allowed string, field func(*Config) *T, parse func(string) (T, string, bool),
	format func(T) string) value {
	return value{
		form:    f,
		allowed: allowed,
		set: func(c *Config, entries []string) []refusal {
			entry := strings.Join(entries, "")
			v, why, ok := parse(entry)
			if !ok {
				return []refusal{{entry: entry, why: why}}
			}
			*field(c) = v
			return nil
		},
		get: func(c *Config) []string { return []string{format(*field(c))} },
	}
}

// check normalises a text and reports whether it is allowed and, if useful, why not.
type check func(string) (normal, why string, ok bool)

// optional lets a text be empty.
func optional(c check) check {
	return func(s string) (string, string, bool) {
		if s == "" {
			return "", "", true
		}
		return c(s)
	}
}

func text(field func(*Config) *string, allowed string, c check) value {
	return scalar(formText, allowed, field, printable(c), func(s string) string { return s })
}

func localPath(field func(*Config) *string) value {
	asIs := func(s string) (string, string, bool) { return s, "", true }
	return scalar(formPath, "a path on this machine", field, printable(asIs), func(s string) string { return s })
}

// printable refuses control characters and invalid UTF-8 before c checks the text.
func printable(c check) check {
	return func(s string) (string, string, bool) {
		control := func(r rune) bool { return unicode.IsControl(r) && r != '\t' }
		if !utf8.ValidString(s) || strings.ContainsFunc(s, control) {
			return "", "it contains control characters or is not UTF-8", false
		}
		return c(s)
	}
}

// choice is one of names, after fold has mapped upper and lower case and
// aliases have mapped other spellings to a name.
func choice(field func(*Config) *string, fold func(string) string, aliases map[string]string, names ...string) value {
	v := text(field, oneOf(names), func(s string) (string, string, bool) {
		s = fold(s)
		if name, found := aliases[s]; found {
			s = name
		}
		return s, "", slices.Contains(names, s)
	})
	v.names, v.aliases = names, slices.Sorted(maps.Keys(aliases))
	return v
}

// oneOf is "a, b or c".
func oneOf(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

//nolint:unparam // that all of them begin at 1 is chance
func number(field func(*Config) *int, least, most int) value {
	allowed := "a whole number from " + strconv.Itoa(least) + " to " + strconv.Itoa(most)
	v := scalar(formNumber, allowed, field, func(s string) (int, string, bool) {
		n, err := strconv.Atoi(s)
		return n, "", err == nil && strconv.Itoa(n) == s && n >= least && n <= most
	}, strconv.Itoa)
	v.least, v.most = float64(least), float64(most)
	return v
}

// boolean takes the spellings of YAML 1.1, which Python reads, and 1 and 0,
// which people write in variables (the file's decoder lets no number through).
func boolean(field func(*Config) *bool) value {
	return scalar(formBool, "true or false", field, func(s string) (bool, string, bool) {
		switch strings.ToLower(s) {
		case "true", "yes", "on", "1":
			return true, "", true
		case "false", "no", "off", "0":
			return false, "", true
		}
		return false, "", false
	}, strconv.FormatBool)
}

const (
	minStartup = 100 * time.Millisecond
	maxStartup = 24 * time.Hour
	maxTTL     = 3650 * day
	day        = 24 * time.Hour
)

func duration(field func(*Config) *time.Duration, least, most time.Duration, limits string) value {
	allowed := "a number of seconds, or a time such as 1m30s, 12h or 7d, " + limits
	v := scalar(formTime, allowed, field, func(s string) (time.Duration, string, bool) {
		d, ok := parseDuration(s)
		return d, "", ok && d >= least && d <= most
	}, formatDuration)
	v.least, v.most = least.Seconds(), most.Seconds()
	return v
}

// parseDuration reads "90", "1.5" (seconds), "1m30s", "7d" and "1d12h"; ok is
// false for anything else, negative or too large for a time.Duration included.
func parseDuration(s string) (d time.Duration, ok bool) {
	if seconds, err := strconv.ParseFloat(s, 64); err == nil {
		const most = float64(math.MaxInt64 / int64(time.Second))
		if !(seconds >= 0 && seconds < most) { // NaN too
			return 0, false
		}
		return time.Duration(math.Round(seconds * float64(time.Second))), true
	}
	var days time.Duration
	if number, rest, found := strings.Cut(s, "d"); found {
		n, err := strconv.ParseUint(number, 10, 32)
		if err != nil || n > uint64(math.MaxInt64/day) {
			return 0, false
		}
		if days, s = time.Duration(n)*day, rest; s == "" {
			return days, true
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > math.MaxInt64-days {
		return 0, false
	}
	return days + d, true
}

// formatDuration is time.Duration.String without zero units at the end: "30s", "1m", "12h", "0".
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// sizeUnits are what a size may be written in, the largest first.
var sizeUnits = []struct {
	name  string
	bytes int
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// size is a number of bytes with its unit.
func size(field func(*Config) *int, least, most int) value {
	allowed := "a size such as 32MiB, from " + formatSize(least) + " to " + formatSize(most)
	return scalar(formSize, allowed, field, func(s string) (int, string, bool) {
		n, ok := parseSize(s, most)
		return n, "", ok && n >= least
	}, formatSize)
}

// parseSize reads "32MiB", "32 MiB" and "32mib"; ok is false for anything else
// and for more than most.
func parseSize(s string, most int) (n int, ok bool) {
	for _, unit := range sizeUnits {
		at := len(s) - len(unit.name)
		if at < 0 || !strings.EqualFold(s[at:], unit.name) {
			continue
		}
		n, err := strconv.ParseUint(strings.TrimSpace(s[:at]), 10, 31)
		if err != nil || n > uint64(most/unit.bytes) {
			return 0, false
		}
		return int(n) * unit.bytes, true
	}
	return 0, false
}

// formatSize is a size in the largest unit that it is a whole number of.
func formatSize(n int) string {
	for _, unit := range sizeUnits {
		if n%unit.bytes == 0 {
			return strconv.Itoa(n/unit.bytes) + unit.name
		}
	}
	return strconv.Itoa(n) + "B"
}

func list(field func(*Config) *[]string, allowed string, c check) value {
	return value{
		form:    formList,
		allowed: allowed,
		set: func(cfg *Config, entries []string) (refused []refusal) {
			var all []string
			for i, entry := range entries {
				normal, why, ok := printable(c)(entry)
				if !ok {
					refused = append(refused, refusal{index: i, entry: entry, why: why})
				}
				all = append(all, normal)
			}
			if refused == nil {
				*field(cfg) = all
			}
			return refused
		},
		get: func(cfg *Config) []string { return *field(cfg) },
	}
}

// environment is a mapping of names to values; its entries read NAME=value.
func environment(field func(*Config) *map[string]string) value {
	return value{
		form:    formMap,
		allowed: `a mapping of NAME: "value" (as variable or flag: A=1,B=2)`,
		set: func(c *Config, entries []string) (refused []refusal) {
			var all map[string]string
			for i, entry := range entries {
				name, v, found := strings.Cut(entry, "=")
				badName := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
				switch {
				case !found || name == "" || strings.ContainsFunc(name, badName):
					refused = append(refused, refusal{index: i, entry: entry, why: "its name is missing or invalid"})
				case !utf8.ValidString(v) || strings.ContainsRune(v, 0):
					refused = append(refused,
						refusal{index: i, entry: entry, why: "its value contains a NUL or is not UTF-8"})
				default:
					if all == nil {
						all = map[string]string{}
					}
					all[name] = v
				}
			}
			if refused == nil {
				*field(c) = all
			}
			return refused
		},
		get: func(c *Config) []string {
			var entries []string
			for _, name := range slices.Sorted(maps.Keys(*field(c))) {
				entries = append(entries, name+"="+(*field(c))[name])
			}
			return entries
		},
	}
}

// resolve makes the path of a value absolute: "~/" is home, the rest is
// relative to base. The empty path stays empty.
func resolve(p, base, home string) string {
	if p == "" {
		return ""
	}
	if rest, ok := strings.CutPrefix(p, "~/"); ok && home != "" {
		return filepath.Join(home, rest)
	}
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(base, p)
}
