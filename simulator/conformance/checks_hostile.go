package conformance

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/echostr/echostr/simulator"
)

// insider makes a check that a document, signed and sealed as it should be, does
// not take the server down. Whoever has seen one URL can send it in the mode plain.
func insider(name, rule string, title Text, document func(p *probe) string) Check {
	return Check{Name: name, Rule: rule, Level: Fail, Title: title, run: func(ctx context.Context, p *probe) finding {
		return p.endures(ctx, p.carry(p.fill(document(p), word(), time.Now().Unix(), newID())))
	}}
}

// bomb is 32 MiB in a few KiB.
var bomb = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed) // which is a level
	for range 32 {
		z.Write(make([]byte, 1<<20)) // a bytes.Buffer does not fail
	}
	z.Close()
	return b.Bytes()
})

func hostileChecks() []Check {
	fixed := func(s string) func(*probe) string { return func(*probe) string { return s } }
	inside := func(s string) func(*probe) string {
		return fixed("<xml>" + headLines + s + contentLine + idLine + "</xml>")
	}
	checks := []Check{
		{
			Name: "empty", Rule: "R-ORDER-ANSWERS", Level: Fail,
			Title: say("an empty body", "空的正文"),
			run: func(ctx context.Context, p *probe) finding {
				_, r := p.pack(p.text(word()))
				r.Body = nil
				return p.endures(ctx, r)
			},
		},
		insider("garbage", "R-XML-KEEP", say("bytes that are no XML", "不是 XML 的字节"), func(*probe) string {
			b := make([]byte, 2048)
			rand.Read(b) // never fails
			return string(b)
		}),
		insider("json", "R-MODE-JSON", say("a body in JSON", "JSON 格式的正文"), fixed(`{"ToUserName":"{to}","FromUserName":"{from}","CreateTime":1,"MsgType":"text","Content":"x","MsgId":1}`)),
		insider("cut-off", "R-XML-KEEP", say("a document that ends in the middle", "写到一半的文档"), fixed("<xml>"+headLines+"<Content><![CDATA[{text}")),
		insider("no-fields", "R-MSG-COMMON", say("a document without any field", "没有任何字段的文档"), fixed("<xml></xml>")),
		insider("other-root", "R-XML-REFUSE", say("another root element", "别的根元素"), fixed(strings.NewReplacer("<xml>", "<html>", "</xml>", "</html>").Replace(textXML))),
		insider("two-roots", "R-XML-REFUSE", say("two documents in one body", "一个正文里有两个文档"), fixed(textXML+textXML)),
		insider("repeated", "R-XML-REPEAT", say("FromUserName and MsgType twice", "FromUserName 和 MsgType 各出现两次"), inside("<FromUserName>oSomebodyElse</FromUserName><MsgType>image</MsgType>")),
		insider("nul", "R-XML-CHARS", say("a NUL in a text", "文字里有 NUL"), inside("<Note>a\x00b</Note>")),
		insider("numbers", "R-XML-NUMBERS", say("numbers that are none, or too large", "不是数字或者太大的数字"),
			fixed("<xml>"+toLine+fromLine+"<CreateTime>99999999999999999999999999</CreateTime>"+typeLine+contentLine+"<MsgId>-1e400</MsgId></xml>")),
		insider("deep", "R-XML-REFUSE", say("20,000 elements inside each other", "两万层嵌套的元素"), inside(strings.Repeat("<a>", 20_000)+strings.Repeat("</a>", 20_000))),
		insider("many", "R-XML-REFUSE", say("20,000 elements beside each other", "两万个并列的元素"), inside(strings.Repeat("<a/>", 20_000))),
		insider("attributes", "R-XML-REFUSE", say("10,000 attributes", "一万个属性"), func(*probe) string {
			var b strings.Builder
			for i := range 10_000 {
				b.WriteString(" a" + strings.Repeat("b", i%7) + strings.Repeat("c", i%11) + strings.Repeat("d", i%13) + "='x'")
			}
			return "<xml" + b.String() + ">" + headLines + contentLine + idLine + "</xml>"
		}),
		insider("long-text", "R-ORDER-LIMIT", say("a text of 200 KiB", "200 KiB 的文字"), inside("<Note>"+strings.Repeat("x", 200<<10)+"</Note>")),
		insider("billion-laughs", "R-XML-REFUSE", say("entities that grow without bound (billion laughs)", "无限膨胀的实体（billion laughs）"), func(*probe) string {
			var b strings.Builder
			b.WriteString(`<?xml version="1.0"?><!DOCTYPE xml [<!ENTITY e0 "haha">`)
			for i := range 30 {
				fmt.Fprintf(&b, `<!ENTITY e%d "%s">`, i+1, strings.Repeat(fmt.Sprintf("&e%d;", i), 10))
			}
			return b.String() + "]><xml>" + headLines + "<Content>&e30;</Content>" + idLine + "</xml>"
		}),
		{
			Name: "external-entity", Rule: "R-XML-REFUSE", Level: Fail, needs: needsEcho,
			Title: say("an entity that names a file of the server does not bring it into a reply (XXE)", "指向服务器文件的实体不会被读进回复（XXE）"),
			Do:    say("take no DTD and no external entities", "不接受 DTD 和外部实体"),
			run:   externalEntity,
		},
		{
			Name: "inner-entity", Rule: "R-XML-REFUSE", Level: Advice, needs: needsEcho,
			Title: say("entities that a document declares itself are not replaced", "文档自己声明的实体不会被展开"),
			Do:    say("take no DTD; WeChat never sends one", "不接受 DTD：微信从不发送"),
			run: func(ctx context.Context, p *probe) finding {
				secret := rand.Text()
				document := `<!DOCTYPE xml [<!ENTITY e "` + secret + `">]><xml>` + headLines + "<Content>&e;</Content>" + idLine + "</xml>"
				return p.leaks(ctx, document, secret, say("the entity was replaced", "实体被展开了"))
			},
		},
		{
			Name: "gzip", Rule: "R-ORDER-LIMIT", Level: Fail,
			Title: say("a body that unpacks to 32 MiB (gzip)", "解压后有 32 MiB 的正文（gzip）"),
			run: func(ctx context.Context, p *probe) finding {
				_, r := p.pack(p.text(word()))
				r.Body, r.Header = bomb(), r.Header.Clone()
				r.Header.Set("Content-Encoding", "gzip")
				return p.endures(ctx, r)
			},
		},
		{
			Name: "large", Rule: "R-ORDER-LIMIT", Level: Advice,
			Title: say("a push of 4 MiB gets no reply, as real ones have a few KB", "4 MiB 的推送得不到回复：真正的只有几 KB"),
			run: func(ctx context.Context, p *probe) finding {
				document := p.fill(textXML, word(), time.Now().Unix(), newID())
				document = strings.Replace(document, "<MsgType>", "<Note>"+strings.Repeat("x", 4<<20)+"</Note><MsgType>", 1)
				f := p.refused(ctx, p.carry(document))
				if g := p.survives(ctx); g.outcome != Pass {
					return g
				}
				return f
			},
		},
		{
			Name: "large-unsigned", Rule: "R-ORDER-LIMIT", Level: Fail,
			Title: say("a body of 4 MiB from anybody", "任何人都能发来的 4 MiB 正文"),
			run: func(ctx context.Context, p *probe) finding {
				_, r := p.pack(p.text(word()))
				r = withQuery(r, clearValues)
				r.Body = bytes.Repeat([]byte("x"), 4<<20)
				return p.endures(ctx, r)
			},
		},
		{
			Name: "endless", Rule: "R-ORDER-LIMIT", Level: Advice, needs: needsConn,
			Title: say("a body without end is not read to 64 MiB", "没有尽头的正文不会读到 64 MiB"),
			Do:    say("stop reading at a limit, such as 1 MiB, also if Content-Length is not given", "读到上限（例如 1 MiB）就停，没有 Content-Length 时也一样"),
			run:   endless,
		},
		{
			Name: "broken-off", Rule: "R-ORDER-LIMIT", Level: Fail, needs: needsConn,
			Title: say("a body that breaks off", "发到一半就断开的正文"),
			run: func(ctx context.Context, p *probe) finding {
				for range 8 {
					if conn, err := p.open(ctx); err == nil {
						p.writeHalf(conn)
						conn.Close()
					}
				}
				return p.survives(ctx)
			},
		},
		{
			Name: "slow", Rule: "R-ORDER-SLOW", Level: Fail, needs: needsConn,
			Title: say("a good push is answered while a body trickles in", "一个正文慢慢到达时，正常的推送照常应答"),
			Do:    say("serve requests at the same time, or put a proxy in front that reads them whole", "同时处理多个请求，或者在前面放一个先读完整请求的代理"),
			run:   func(ctx context.Context, p *probe) finding { return p.beside(ctx, 1) },
		},
		{
			Name: "many-slow", Rule: "R-ORDER-SLOW", Level: Advice, needs: needsConn,
			Title: say("a good push is answered while 50 bodies trickle in", "50 个正文慢慢到达时，正常的推送照常应答"),
			Do:    say("give headers and body 3 seconds each to arrive", "请求头和正文各给 3 秒"),
			run:   func(ctx context.Context, p *probe) finding { return p.beside(ctx, 50) },
		},
		{
			Name: "slow-end", Rule: "R-ORDER-SLOW", Level: Advice, needs: needsConn,
			Title: say("a connection whose body does not arrive is given up", "正文迟迟不到的连接会被放弃"),
			Do:    say("give headers and body 3 seconds each to arrive", "请求头和正文各给 3 秒"),
			run:   slowEnd,
		},
	}
	for i := range checks {
		c := &checks[i]
		if c.Level == Fail && c.Name != "external-entity" && c.Name != "slow" {
			c.Title = Text{c.Title.EN + ": good pushes are answered afterwards", c.Title.ZH + "：之后正常的推送照常应答"}
		}
	}
	return checks
}

// leaks finds whether a secret gets into the reply to a document.
func (p *probe) leaks(ctx context.Context, document, secret string, why Text) finding {
	m, r := p.pack(p.raw(document, ""))
	push := p.do(ctx, r)
	if push.Outcome == simulator.Answered && push.Status == 200 {
		if v := p.wechat.Judge(m, push.Body); v.Reply != nil && strings.Contains(v.Reply.Content, secret) {
			return p.wrong(why)
		}
	}
	return p.survives(ctx)
}

// externalEntity names a file with a secret, made for this, in an entity. It
// can only be found if the server runs on this machine, as most do.
func externalEntity(ctx context.Context, p *probe) finding {
	secret := rand.Text()
	file := filepath.Join(os.TempDir(), "echostr-check-"+rand.Text())
	if err := os.WriteFile(file, []byte(secret), 0o644); err != nil {
		return finding{outcome: Skipped, why: sayf("no file could be made for it: %v", "无法创建所需的文件：%v", err)}
	}
	defer os.Remove(file)
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	document := `<!DOCTYPE xml [<!ENTITY e SYSTEM "file://` + path + `">]><xml>` + headLines + "<Content>&e;</Content>" + idLine + "</xml>"
	return p.leaks(ctx, document, secret, say("the file came back: whoever can send a push can read the files of the server", "文件内容被发回来了：能发送推送的人就能读服务器上的文件"))
}
