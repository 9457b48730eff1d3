package config

import (
	"bytes"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a string that prints as *** wherever it ends up: in every verb of
// fmt, in JSON, YAML and any text encoding, and in slog. The zero value is an
// empty secret. Only [Secret.Reveal] returns the string.
type Secret struct {
	// A pointer, since fmt reaches into unexported fields of foreign structs
	// without asking Format: there it finds an address and not the text.
	text *string
}

const masked = "***"

// NewSecret makes s a secret.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{&s}
}

// Reveal returns the string itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal reports whether both are the same string, in a time that depends only
// on the lengths.
func (s Secret) Equal(t Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(t.Reveal())) == 1
}

// Format prints *** for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, masked) }

// String returns ***.
func (s Secret) String() string { return masked }

// GoString returns ***.
func (s Secret) GoString() string { return masked }

// LogValue makes slog print ***.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText makes encoders of text print ***, encoding/json among them.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }

// MarshalYAML makes YAML print ***.
func (s Secret) MarshalYAML() (any, error) { return masked, nil }

// UnmarshalText takes the text without the white space around it.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(trimSpace(text))
	return nil
}

func trimSpace(b []byte) string { return string(bytes.TrimSpace(b)) }
