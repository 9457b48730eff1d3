package echostr

type codec struct{}
