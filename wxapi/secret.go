package wxapi

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a string that prints as *** in every verb of fmt, in slog and in JSON, also where it is
// deep inside other values. The zero value is an empty secret. Only Reveal returns the string.
// Two secrets are compared by what they reveal, and not by ==.
type Secret struct {
	// A pointer, since fmt does not ask Format of unexported fields: there it finds an address.
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

// Format prints *** for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, masked) }

// String returns ***.
func (s Secret) String() string { return masked }

// GoString returns ***.
func (s Secret) GoString() string { return masked }

// LogValue makes slog print ***.
func (s Secret) LogValue() slog.Value { return slog.StringValue(masked) }

// MarshalText returns ***, so a secret does not survive encoding/json: stores reveal it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(masked), nil }
