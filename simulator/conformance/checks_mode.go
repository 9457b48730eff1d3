package conformance

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"net/url"
	"slices"
	"strings"

	"github.com/echostr/echostr/simulator"
)

func modeChecks() []Check {
	return []Check{
		{
			Name: "answer", Level: Fail, Rule: "R-REPLY-SUCCESS",
			Title: say("a text is answered in the form that the mode wants: success, an empty body or a valid reply", "文本消息的应答符合账号的模式：success、空串或正确的回复"),
			Do: say("answer with success, or with a reply in XML whose ToUserName is the user and whose FromUserName is the account (gh_...); seal replies in the mode safe",
				"应答 success，或一段 XML 回复：ToUserName 是用户，FromUserName 是公众号（gh_……）；安全模式下回复要加密"),
			run: nil, // the survey's
		},
		{
			Name: "raw", Level: Advice, Rule: "R-MODE-THREE", needs: needsPlain,
			Title: say("encrypt_type=raw means the same as none", "encrypt_type=raw 与没有这个参数一样"),
			run: func(ctx context.Context, p *probe) finding {
				m, r := p.pack(p.text(word()))
				return p.answered(ctx, m, withQuery(r, func(q url.Values) { q.Set("encrypt_type", "raw") }))
			},
		},
		{
			Name: "padding", Level: Fail, Rule: "R-ENV-PAD", needs: needsEnvelope,
			Title: say("messages of every length open: the padding fills blocks of 32 bytes, 1 to 32 of them", "任何长度的消息都能解开：填充按 32 字节一块，1 到 32 个字节"),
			Do:    say("remove 1 to 32 bytes of padding, not 1 to 16 as libraries for AES do", "去掉 1 到 32 个填充字节，而不是像一般的 AES 库那样 1 到 16 个"),
			run: func(ctx context.Context, p *probe) finding {
				for n := range 32 {
					text := word() + strings.Repeat("x", n)
					if f := p.reads(ctx, p.text(text), text); f.outcome != Pass {
						return f
					}
				}
				return finding{}
			},
		},
		{
			Name: "indented", Level: Fail, Rule: "R-XML-BLANKS", needs: needsSafe,
			Title: say("the sealed document may be indented, as in WeChat's own example", "加密的推送可以带缩进，像官方示例那样"),
			run: func(ctx context.Context, p *probe) finding {
				m, r := p.pack(p.text(word()))
				r.Body = []byte("<xml>\n    <ToUserName><![CDATA[" + m.ToUserName + "]]></ToUserName>\n    <Encrypt><![CDATA[" + encrypted(r) + "]]></Encrypt>\n</xml>\n")
				return p.answered(ctx, m, r)
			},
		},
		{
			Name: "clear-fields", Level: Fail, Rule: "R-ENV-OUTER", needs: needsCompatible,
			Title: say("the clear fields beside Encrypt, which are not signed, are not believed", "Encrypt 旁边的明文字段没有签名，不予采信"),
			Do:    say("read nothing but ToUserName and Encrypt from the outer document", "外层只读 ToUserName 和 Encrypt"),
			run: func(ctx context.Context, p *probe) finding {
				text, other := word(), word()
				m, r := p.pack(p.text(text))
				r.Body = bytes.Replace(r.Body, []byte(text), []byte(other), 1) // the base64 has no blank
				r.Body = bytes.Replace(r.Body, []byte("<FromUserName><![CDATA["+p.user), []byte("<FromUserName><![CDATA["+newUser()), 1)
				push := p.do(ctx, r)
				if push.Outcome != simulator.Answered || push.Status != 200 {
					return finding{} // refusing it is right, too
				}
				v := p.wechat.Judge(m, push.Body)
				switch {
				case v.Problem == "to", v.Problem == "swapped":
					return p.wrong(say("the reply went to the user named in the clear fields", "回复发给了明文字段里的用户"))
				case !v.OK():
					return p.judged(v)
				case v.Reply != nil && strings.Contains(v.Reply.Content, other):
					return p.wrong(say("the reply was made of the text in the clear fields", "回复用的是明文字段里的文字"))
				}
				return finding{}
			},
		},
		{
			Name: "fresh", Level: Advice, Rule: "R-ENV-REPLY", needs: needsEnvelope | needsReply,
			Title: say("every sealed reply has random bytes of its own", "每个加密回复都用新的随机字节"),
			Do:    say("take 16 new bytes of a cryptographic random generator for every reply", "每个回复都用密码学随机数生成新的 16 个字节"),
			run: func(ctx context.Context, p *probe) finding {
				seen := map[string]bool{}
				for range 2 {
					m, r := p.pack(p.text(word()))
					seen[firstBlock(encrypted(r))] = true
					push := p.do(ctx, r)
					if v := p.wechat.Judge(m, push.Body); v.Reply == nil || !v.Reply.Sealed {
						return finding{}
					}
					block := firstBlock(replyEncrypt(push.Body))
					if seen[block] {
						return p.wrong(say("it has the random bytes of an earlier envelope", "随机字节与之前的一样"))
					}
					seen[block] = true
				}
				return finding{}
			},
		},
	}
}

// answered makes one request and finds whether it is answered as it should.
func (p *probe) answered(ctx context.Context, m simulator.Message, r simulator.Request) finding {
	push := p.do(ctx, r)
	switch {
	case push.Outcome != simulator.Answered:
		return finding{outcome: p.check.Level, problem: push.Outcome.String(), why: sayf("it was not answered (%v)", "没有应答（%v）", push.Outcome)}
	case push.Status != 200:
		return finding{outcome: p.check.Level, problem: "status", why: sayf("it was answered with status %d", "应答的状态码是 %d", push.Status)}
	}
	return p.judged(p.wechat.Judge(m, push.Body))
}

// firstBlock is what the first 16 random bytes have become, as the vector in front is always the same.
func firstBlock(encrypt string) string { return encrypt[:min(len(encrypt), 21)] }

// opened is what is in an envelope, for people to read: nothing is checked.
func (r *runner) opened(body []byte) []byte {
	sealed, err := base64.StdEncoding.DecodeString(replyEncrypt(body))
	if err != nil || len(sealed) < 32 || len(sealed)%16 != 0 {
		return nil
	}
	block, err := aes.NewCipher(r.key)
	if err != nil {
		return nil
	}
	cipher.NewCBCDecrypter(block, r.key[:16]).CryptBlocks(sealed, sealed)
	n := uint64(binary.BigEndian.Uint32(sealed[16:]))
	if sealed = sealed[20:]; n > uint64(len(sealed)) {
		return nil
	}
	return sealed[:n]
}

// replyEncrypt is the text of Encrypt, however it is written.
func replyEncrypt(body []byte) string {
	_, rest, _ := strings.Cut(string(body), "<Encrypt>")
	text, _, _ := strings.Cut(rest, "</Encrypt>")
	text = strings.TrimSpace(text)
	return strings.TrimSuffix(strings.TrimPrefix(text, "<![CDATA["), "]]>")
}

// layout is what is sealed, up to the padding: R-ENV-LAYOUT. The length is n, right or wrong.
func layout(msg []byte, n uint32, appID string) []byte {
	plain := make([]byte, 16, 64+len(msg))
	rand.Read(plain) // never fails
	plain = binary.BigEndian.AppendUint32(plain, n)
	return append(append(plain, msg...), appID...)
}

// padded adds the padding, made of a byte of its own if bad: R-ENV-PAD.
func padded(plain []byte, bad byte) []byte {
	n := 32 - len(plain)%32
	value := byte(n)
	if bad != 0 {
		value = bad
	}
	return append(slices.Clip(plain), bytes.Repeat([]byte{value}, n)...)
}

// seal encrypts whole blocks.
func (r *runner) seal(plain []byte) string {
	block, err := aes.NewCipher(r.key)
	if err != nil {
		panic(err) // the key was checked
	}
	sealed := make([]byte, len(plain))
	cipher.NewCBCEncrypter(block, r.key[:16]).CryptBlocks(sealed, plain)
	return base64.StdEncoding.EncodeToString(sealed)
}
