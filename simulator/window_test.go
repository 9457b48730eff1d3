package simulator

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWindows(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	begin := a.now
	at := func(d time.Duration) {
		a.now = begin.Add(d)
		a.newToken()
	}
	text := func(what string, want int) {
		t.Helper()
		a.want(what, a.send(`"msgtype":"text","text":{"content":"`+what+`"}`), want)
	}
	texts := func(n int, what string) {
		t.Helper()
		for i := range n {
			text(fmt.Sprint(what, i), 0)
		}
		text(what+": one too many", 45047)
	}
	act := func(_ *Report, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	text("nobody has said anything", 45015)
	act(a.user.Say(t.Context(), "你好"))
	texts(5, "after a message")
	at(47 * time.Hour)
	text("still in the window", 45047)
	at(48 * time.Hour)
	text("after the window", 45015)

	a.o.SetMenu(&Menu{Buttons: []Button{{Type: "click", Name: "点", Key: "K"}, {Type: "view", Name: "看", URL: "http://x/"}}})
	if _, err := a.user.Click(t.Context(), "看", nil); err != nil {
		t.Fatal(err)
	}
	text("a view opens no window", 45015)
	if _, err := a.user.Click(t.Context(), "K", nil); err != nil {
		t.Fatal(err)
	}
	text("after a click", 0)
	act(a.user.Say(t.Context(), "还有"))
	if diff := cmp.Diff([]Window{{"menu", 2, a.now.Add(time.Minute)}, {"message", 5, a.now.Add(48 * time.Hour)}}, sortedWindows(a.user)); diff != "" {
		t.Error(diff)
	}
	texts(7, "the click's two first, and then the message's five") // the shorter window is used up first
	at(48*time.Hour + time.Minute)
	act(a.user.Scan(t.Context(), "场景"))
	texts(3, "after a scan")
	at(49 * time.Hour)
	act(a.user.Say(t.Context(), "再见"))
	act(a.user.Unfollow(t.Context()))
	text("after unfollowing", 43004)
	act(a.user.Follow(t.Context()))
	texts(3, "after following")
	at(49*time.Hour + time.Minute)
	act(a.user.Say(t.Context(), "菜单"))
	a.want("a menu message", a.send(`"msgtype":"msgmenu","msgmenu":{"head_content":"满意吗","list":[{"id":101,"content":"满意"}]}`), 0)
	at(200 * time.Hour)
	text("long after", 45015)
	act(a.user.ChooseMenu(t.Context(), "满意"))
	texts(3, "a tap in a menu message counts as one in the menu")
}

func sortedWindows(u *User) []Window {
	list := u.Windows()
	if len(list) == 2 && list[0].Trigger > list[1].Trigger {
		list[0], list[1] = list[1], list[0]
	}
	return list
}

func TestTyping(t *testing.T) {
	t.Parallel()
	a := newAPITest(t, Service, true)
	typing := func(what, command string, want int) {
		t.Helper()
		a.want(what, a.call("/cgi-bin/message/custom/typing", `{"touser":"`+a.user.OpenID()+`","command":"`+command+`"}`).code(), want)
	}
	typing("nobody has said anything", "Typing", 45080)
	a.says("你好")
	typing("after a message", "Typing", 0)
	if !a.user.Typing() {
		t.Error("the user does not see it")
	}
	typing("again", "Typing", 45081)
	typing("cancel", "CancelTyping", 0)
	typing("after cancel", "Typing", 0)
	a.now = a.now.Add(typingLife)
	if a.user.Typing() {
		t.Error("the user sees it after 15 s")
	}
	typing("when it is over", "Typing", 0)
	a.want("a message", a.send(`"msgtype":"text","text":{"content":"x"}`), 0)
	if a.user.Typing() {
		t.Error("a message does not end it")
	}
	a.now = a.now.Add(typingAfter + time.Second)
	typing("31 s later", "Typing", 45080)
}
