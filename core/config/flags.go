package config

import (
	"strings"

	"github.com/spf13/pflag"
)

// BindFlags adds --config and a flag for every key that has one. The flags
// only keep what was given: Load checks it, so that it can report a wrong flag
// together with everything else.
func BindFlags(fs *pflag.FlagSet) {
	fs.Var(&flagValue{form: formPath}, configFlag,
		"configuration file (environment: "+configEnv+")")
	for _, k := range table() {
		if k.Flag == "" {
			continue
		}
		usage, _, _ := strings.Cut(k.Doc, ". ")
		usage = strings.TrimSuffix(usage, ".")
		if strings.ToUpper(usage[:2]) != usage[:2] { // not an abbreviation such as TCP
			usage = strings.ToLower(usage[:1]) + usage[1:]
		}
		f := fs.VarPF(&flagValue{form: k.form, texts: []string{k.Default}}, k.Flag, "",
			usage+" (environment: "+k.Env+")")
		if k.form == formBool {
			f.NoOptDefVal = "true"
		}
	}
}

// givenFlag is what was given for a flag, in order; given is false if nothing was.
func givenFlag(fs *pflag.FlagSet, name string) (texts []string, given bool) {
	if fs == nil || name == "" {
		return nil, false
	}
	f := fs.Lookup(name)
	if f == nil || !f.Changed {
		return nil, false
	}
	if v, ok := f.Value.(*flagValue); ok {
		return v.texts, true
	}
	return []string{f.Value.String()}, true
}

// flagValue keeps the texts given for a flag. Given twice, a list or a
// mapping grows; of anything else the last counts.
type flagValue struct {
	form  form
	given bool
	texts []string // the default until the first Set
}

var _ pflag.Value = (*flagValue)(nil)

// Set keeps a text, whatever it is.
func (v *flagValue) Set(s string) error {
	if !v.given || v.form != formList && v.form != formMap {
		v.texts = nil
	}
	v.given = true
	v.texts = append(v.texts, s)
	return nil
}

// String is what was given, or the default.
func (v *flagValue) String() string { return strings.Join(v.texts, ",") }

// Type is shown as the flag's argument.
func (v *flagValue) Type() string { return v.form.String() }
