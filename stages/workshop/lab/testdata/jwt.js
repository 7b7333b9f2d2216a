// An API that somebody wrote with jose or express-jwt checks a token of ours, forged ones and others
// that come along. The first argument is the settings as JSON. It prints who accepted what.
'use strict';

const jose = require('jose');
const { expressjwt } = require('express-jwt');
const { token, key, issuer, audience, typ, others } = JSON.parse(process.argv[2]);
const secret = Buffer.from(key, 'base64');

const checks = {
	jose: (text) => jose.jwtVerify(text, secret, { issuer, audience, algorithms: ['HS256'], typ }),
	'express-jwt': (text) => new Promise((resolve, reject) => {
		const req = { headers: { authorization: 'Bearer ' + text }, method: 'GET' };
		expressjwt({ secret, issuer, audience, algorithms: ['HS256'] })(req, {}, (err) => (err ? reject(err) : resolve(req.auth)));
	}),
};

(async () => {
	const header = jose.decodeProtectedHeader(token);
	const claims = jose.decodeJwt(token);
	const sign = (changed, by = secret) => new jose.SignJWT({ ...claims, ...changed }).setProtectedHeader(header).sign(by);
	const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
	const [first, , last] = token.split('.');
	const texts = {
		ours: token,
		'signed anew': await sign({}), // with the right key: what follows is refused for what is wrong with it
		none: part({ ...header, alg: 'none' }) + '.' + part(claims) + '.',
		'another key': await sign({}, Buffer.alloc(32, 1)),
		'another audience': await sign({ aud: 'https://another.example' }),
		'another issuer': await sign({ iss: 'https://another.example' }),
		expired: await sign({ exp: claims.iat - 1 }),
		'changed claims': first + '.' + part({ ...claims, sub: 'mallory' }) + '.' + last,
		...others,
	};
	const said = {};
	for (const [by, check] of Object.entries(checks)) {
		said[by] = [];
		for (const [name, text] of Object.entries(texts)) {
			await check(text).then(() => said[by].push(name), () => {});
		}
	}
	console.log(JSON.stringify(said));
})().catch((err) => {
	console.error(err);
	process.exit(1);
});
