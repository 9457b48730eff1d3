package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/echostr/echostr"
	"github.com/echostr/echostr/wxcrypt"
)

type decodeCommand struct {
	File  string `arg:"" help:"The body of a push or reply, or the text of its Encrypt; - reads the standard input."`
	Typed bool   `help:"Print the Go type that it becomes, and its fields."`
	Reply bool   `help:"With --typed: it is a reply (told from its elements otherwise)."`

	Token          *string `placeholder:"TOKEN" help:"令牌." group:"envelope"`
	EncodingAESKey *string `name:"encoding-aes-key" placeholder:"KEY" help:"消息加解密密钥." group:"envelope"`
	AppID          *string `name:"app-id" placeholder:"ID" help:"开发者ID." group:"envelope"`
	Timestamp      *string `placeholder:"S" help:"timestamp of the query string. A reply has its own." group:"envelope"`
	Nonce          *string `placeholder:"N" help:"nonce of the query string, likewise." group:"envelope"`
	MsgSignature   *string `placeholder:"G" help:"msg_signature of the query string, likewise." group:"envelope"`
}

func (c *decodeCommand) Help() string {
	return `Element names and values are printed exactly as they stand in the document. With --token, --encoding-aes-key and --app-id the signature is verified and the envelope opened first; how old it is does not matter.

Exit codes: 0 printed, 1 it must be refused, 2 wrong command line.`
}

func (c *decodeCommand) Run(term *terminal) error {
	body, err := readInput(c.File, term)
	if err != nil {
		return err
	}
	if text := bytes.TrimSpace(body); bytes.HasPrefix(text, []byte("{")) || bytes.HasPrefix(text, []byte("[")) {
		return errors.New("this is JSON; give the XML body of a push")
	}
	opened := false
	if c.Token != nil || c.EncodingAESKey != nil || c.AppID != nil || c.Timestamp != nil || c.Nonce != nil || c.MsgSignature != nil {
		if c.Token == nil || c.EncodingAESKey == nil || c.AppID == nil {
			return usage("an envelope is opened with --token, --encoding-aes-key and --app-id; give all three")
		}
		if body, err = c.open(body); err != nil {
			return err
		}
		opened = true
	}
	switch text := string(bytes.TrimSpace(body)); {
	case text == "success":
		return c.print(term, []byte("null"), "echostr.None") // the answer that says nothing
	case text == "" && !opened:
		return errors.New("the input is empty; give the body of a push or reply")
	case opened && !strings.HasPrefix(strings.TrimPrefix(text, "\ufeff"), "<"):
		// An envelope may hold any text, such as an echostr.
		quoted, err := marshal(string(body))
		if err != nil {
			return err
		}
		return c.print(term, quoted, "string")
	}
	var d echostr.Document
	if err := d.Parse(body); err != nil {
		return fmt.Errorf("this must be refused: %w", err)
	}
	if note := sealedNote(&d); note != "" && !opened {
		fmt.Fprintf(term.err, "note: %s\n", note)
	}
	if !c.Typed {
		return c.print(term, d.AppendJSON(nil), "")
	}
	if c.Reply || looksLikeReply(&d) {
		reply, _, err := echostr.DecodeReply(body)
		if err != nil {
			return fmt.Errorf("this must be refused: %w", err)
		}
		return c.printTyped(term, reply)
	}
	return c.printTyped(term, d.Message())
}

// open verifies the signature and opens the envelope.
func (c *decodeCommand) open(body []byte) ([]byte, error) {
	timestamp, nonce, signature := c.Timestamp, c.Nonce, c.MsgSignature
	encrypt := string(bytes.TrimSpace(body))
	if strings.HasPrefix(strings.TrimPrefix(encrypt, "\ufeff"), "<") {
		var d echostr.Document
		if err := d.Parse(body); err != nil {
			return nil, fmt.Errorf("this must be refused: %w", err)
		}
		var ok bool
		if encrypt, ok = d.Get("Encrypt"); !ok {
			return nil, errors.New("this must be refused: there is no element Encrypt, so it is not an encrypted push; leave the flags for the envelope out to read it in clear")
		}
		// The envelope of a reply has its own: R-ENV-REPLY
		for _, own := range []struct {
			flag **string
			name string
		}{{&timestamp, "TimeStamp"}, {&nonce, "Nonce"}, {&signature, "MsgSignature"}} {
			if v, ok := d.Get(own.name); ok && *own.flag == nil {
				*own.flag = &v
			}
		}
	}
	if timestamp == nil || nonce == nil || signature == nil {
		return nil, usage("the signature is verified with --timestamp, --nonce and --msg-signature of the query string; give all three")
	}
	if !wxcrypt.VerifyMsg(*signature, *c.Token, *timestamp, *nonce, encrypt) {
		return nil, errors.New("this must be refused: msg_signature does not fit the token (令牌), timestamp, nonce and Encrypt; compare all four")
	}
	cipher, err := wxcrypt.NewCipher(*c.EncodingAESKey, *c.AppID)
	if err != nil {
		return nil, err
	}
	return cipher.Open(nil, encrypt)
}

// sealedNote says how to open a document of which only the envelope can be
// read. In the compatible mode (兼容模式) the rest stands beside it in clear.
func sealedNote(d *echostr.Document) string {
	if _, sealed := d.Get("Encrypt"); !sealed {
		return ""
	}
	if _, clear := d.Get("MsgType"); clear {
		return ""
	}
	note := "this is sealed (加密), and what is inside is not shown; --token, --encoding-aes-key and --app-id open it"
	if _, own := d.Get("MsgSignature"); !own {
		note += ", with --timestamp, --nonce and --msg-signature of the query string"
	}
	return note
}

// looksLikeReply tells a reply from a push, which has a MsgId or an Event.
func looksLikeReply(d *echostr.Document) bool {
	for _, name := range []string{"MsgId", "Event", "Encrypt"} {
		if _, ok := d.Get(name); ok {
			return false
		}
	}
	msgType, _ := d.Get("MsgType")
	return slices.Contains([]string{"text", "image", "voice", "video", "music", "news", "transfer_customer_service"}, strings.ToLower(msgType))
}

func (c *decodeCommand) printTyped(term *terminal, v any) error {
	fields, err := marshal(v)
	if err != nil {
		return err
	}
	return c.print(term, fields, strings.TrimPrefix(reflect.TypeOf(v).String(), "*"))
}

// print prints JSON, and with --typed an object of the type and the value.
func (c *decodeCommand) print(term *terminal, value []byte, goType string) error {
	if c.Typed {
		wrapped, err := marshal(struct {
			Type  string          `json:"type"`
			Value json.RawMessage `json:"value"`
		}{goType, value})
		if err != nil {
			return err
		}
		value = wrapped
	}
	var out bytes.Buffer
	if err := json.Indent(&out, value, "", "  "); err != nil {
		return err
	}
	out.WriteByte('\n')
	_, err := term.out.Write(out.Bytes())
	return err
}

// marshal is json.Marshal with <, > and & as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}
