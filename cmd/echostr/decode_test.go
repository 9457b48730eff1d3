package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func object(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// decode runs the command without the command line, which takes longer to
// parse than the samples do.
func decode(stdin string, c decodeCommand) result {
	var out, errs bytes.Buffer
	term := &terminal{in: strings.NewReader(stdin), out: &out, err: &errs}
	code := term.report(c.Run(term))
	return result{code, out.String(), errs.String()}
}

func TestDecodeSamples(t *testing.T) {
	t.Parallel()
	count := 0
	sealed := []string{"envelope-safe.xml", "envelope.xml"} // there is a note about them
	for _, dir := range []string{"messages", "replies"} {
		files, err := filepath.Glob(filepath.Join(vectors, dir, "*.xml"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			count++
			got := decode("", decodeCommand{File: file})
			if got.code != 0 || (got.err != "") != slices.Contains(sealed, filepath.Base(file)) {
				t.Errorf("%s: %+v", file, got)
				continue
			}
			want := object(t, read(t, strings.TrimSuffix(file, ".xml")+".json"))
			if diff := cmp.Diff(want, object(t, got.out)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", file, diff)
			}
			if typed := decode("", decodeCommand{File: file, Typed: true}); typed.code != 0 || !strings.Contains(typed.out, `"type": "echostr.`) {
				t.Errorf("%s --typed: %+v", file, typed)
			}
		}
	}
	if count < 130 {
		t.Errorf("only %d samples were found", count)
	}
}

func TestDecodeTyped(t *testing.T) {
	t.Parallel()
	tests := []struct{ file, goType, field string }{
		{"messages/seed-SCAN.xml", "echostr.ScanEvent", `"EventKey": "SCENE_VALUE"`},
		{"messages/voice-recognition.xml", "echostr.VoiceMessage", `"Recognition": "腾讯微信团队"`},
		{"messages/text-looks-like-xml.xml", "echostr.TextMessage", `"Content": "<xml><MsgType>event</MsgType></xml> a<b && c>d"`},
		{"messages/unknown-type.xml", "echostr.UnknownMessage", `"MsgType": "hologram"`},
		{"replies/news-2.xml", "echostr.NewsReply", `"Articles": [`},
		{"replies/seed-text.xml", "echostr.TextReply", `"Content": `},
	}
	for _, tt := range tests {
		got := execute(t, "", "decode", "--typed", filepath.Join(vectors, tt.file))
		if got.code != 0 || !strings.Contains(got.out, `"type": "`+tt.goType+`"`) || !strings.Contains(got.out, tt.field) {
			t.Errorf("%s: %+v, want %s and %s", tt.file, got, tt.goType, tt.field)
		}
	}
}

type cryptoVector struct {
	Name, Token, EncodingAESKey, AppID, Timestamp, Nonce, MsgSignature, Encrypted, Plaintext, Expect string
}

// TestDecodeEnvelopes opens every crypto vector, as the bare text and in a body.
func TestDecodeEnvelopes(t *testing.T) {
	t.Parallel()
	var all []cryptoVector
	if err := json.Unmarshal([]byte(read(t, vectors+"/crypto/vectors.json")), &all); err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, v := range all {
		counts[v.Expect]++
		for name, input := range map[string]string{
			"bare": v.Encrypted + "\n",
			"body": "<xml><ToUserName>gh_1</ToUserName><Encrypt><![CDATA[" + v.Encrypted + "]]></Encrypt></xml>",
		} {
			got := decode(input, decodeCommand{
				File: "-", Token: &v.Token, EncodingAESKey: &v.EncodingAESKey, AppID: &v.AppID,
				Timestamp: &v.Timestamp, Nonce: &v.Nonce, MsgSignature: &v.MsgSignature,
			})
			switch {
			case got.code != 0:
				if v.Expect == "accept" || got.code != exitFailed || got.out != "" || strings.Count(got.err, "\n") != 1 {
					t.Errorf("%s, %s: %+v", v.Name, name, got)
				}
			case v.Expect == "reject":
				t.Errorf("%s, %s is not refused: %+v", v.Name, name, got)
			case v.Expect == "accept" && !strings.HasPrefix(v.Plaintext, "<"):
				if object(t, got.out) != v.Plaintext {
					t.Errorf("%s, %s: %q, want %q", v.Name, name, got.out, v.Plaintext)
				}
			case v.Expect == "accept":
				if clear := decode(v.Plaintext, decodeCommand{File: "-"}); clear.out != got.out {
					t.Errorf("%s, %s: %s, in clear %s", v.Name, name, got.out, clear.out)
				}
			}
			for _, secret := range []string{v.Token, v.EncodingAESKey} {
				if len(secret) > 8 && strings.Contains(got.err, secret) {
					t.Errorf("%s: the error shows a secret: %s", v.Name, got.err)
				}
			}
		}
	}
	if counts["accept"] < 20 || counts["reject"] < 30 {
		t.Errorf("only %v vectors", counts)
	}
}

// TestDecodeReplyEnvelope opens a reply, which brings its own signature.
func TestDecodeReplyEnvelope(t *testing.T) {
	t.Parallel()
	var all []cryptoVector
	if err := json.Unmarshal([]byte(read(t, vectors+"/crypto/vectors.json")), &all); err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		if v.Name != "own-reply" {
			continue
		}
		args := []string{"decode", filepath.Join(vectors, "replies/envelope.xml"), "--token", v.Token, "--encoding-aes-key", v.EncodingAESKey, "--app-id", v.AppID}
		got := execute(t, "", args...)
		if clear := decode(v.Plaintext, decodeCommand{File: "-"}); got.code != 0 || clear.out != got.out {
			t.Errorf("%+v, want %s", got, clear.out)
		}
		if got := execute(t, "", append(args, "--nonce", "1")...); got.code != exitFailed {
			t.Errorf("with another nonce: %+v", got)
		}
		return
	}
	t.Fatal("no vector own-reply")
}

func TestDecodeOdd(t *testing.T) {
	t.Parallel()
	crypto := []string{"--token=T", "--encoding-aes-key=K", "--app-id=A", "--timestamp=1", "--nonce=1", "--msg-signature=G"}
	tests := []struct {
		name, input string
		args        []string
		code        int
		want        string // in the output or the error
	}{
		{"success", "success", nil, 0, "null"},
		{"success typed", "success", []string{"--typed"}, 0, "echostr.None"},
		{"empty", "\n", nil, 1, "empty"},
		{"no document", "hello", nil, 1, "refused"},
		{"cut", "<xml><a>", nil, 1, "refused"},
		{"a document type", "<!DOCTYPE x><xml/>", nil, 1, "refused"},
		{"JSON", `{"ToUserName":"x"}`, nil, 1, "this is JSON; give the XML body of a push"},
		{"JSON with envelope flags", `{"Encrypt":"x"}`, crypto, 1, "this is JSON"},
		{"in clear with envelope flags", "<xml><a>1</a></xml>", crypto, 1, "no element Encrypt"},
		{"broken with envelope flags", "<xml><Encrypt>", crypto, 1, "refused"},
		{"no query", "<xml><Encrypt>abc</Encrypt></xml>", crypto[:3], 2, "--msg-signature"},
		{"too long", strings.Repeat("x", maxInput+1), nil, 1, "4 MiB"},
		{"a reply that is none", "<xml><MsgType>text</MsgType></xml>", []string{"--typed", "--reply"}, 1, "ToUserName is missing"},
	}
	for _, tt := range tests {
		got := execute(t, tt.input, append([]string{"decode", "-"}, tt.args...)...)
		if got.code != tt.code || !strings.Contains(got.out+got.err, tt.want) || tt.code != 0 && strings.Count(got.err, "\n") != 1 {
			t.Errorf("%s: %+v, want %d and %q", tt.name, got, tt.code, tt.want)
		}
	}
	for _, flags := range [][]string{nil, {"--typed"}} {
		got := execute(t, "", append([]string{"decode", vectors + "/messages/envelope-safe.xml"}, flags...)...)
		if got.code != 0 || !strings.Contains(got.err, "sealed") || !strings.Contains(got.err, "--encoding-aes-key") || !strings.Contains(got.err, "--msg-signature") || !strings.Contains(got.out, "ToUserName") {
			t.Errorf("sealed, %v: %+v", flags, got)
		}
		if got := execute(t, "", append([]string{"decode", vectors + "/replies/envelope.xml"}, flags...)...); !strings.Contains(got.err, "sealed") || strings.Contains(got.err, "--msg-signature") {
			t.Errorf("a reply brings its own signature: %+v", got)
		}
	}
	// In the compatible mode everything stands there in clear.
	if got := execute(t, "", "decode", vectors+"/messages/envelope-compat.xml"); got.code != 0 || got.err != "" {
		t.Errorf("compatible: %+v", got)
	}
	if got := execute(t, "", "decode", filepath.Join(t.TempDir(), "none.xml")); got.code != exitFailed || !strings.Contains(got.err, "there is no file") {
		t.Errorf("%+v", got)
	}
}
