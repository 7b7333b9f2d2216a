// Others' implementations of RFC 9421: the npm packages `http-message-signatures` and
// `http-message-sig`, as signers and as verifiers. Standard input is one message as JSON, with what is
// to be done; standard output is what came of it.
'use strict';

const Crypto = require('crypto');

const algorithm = 'ecdsa-p256-sha256';
const raw = (key) => ({ key, dsaEncoding: 'ieee-p1363' });

const first = {
	load: () => require('http-message-signatures'),
	message: (m) => (m.status ? { status: m.status, headers: m.header } : { method: m.method, url: m.target, headers: m.header }),
	async sign({ httpbis }, { message, label, components, parameters, key }) {
		const sign = async (base) => Crypto.sign('sha256', base, raw(Crypto.createPrivateKey({ key, format: 'jwk' })));
		const paramValues = { ...parameters };
		for (const name of ['created', 'expires']) {
			paramValues[name] = parameters[name] && new Date(parameters[name] * 1000);
		}
		const config = { key: { sign }, name: label, fields: components.map(({ identifier }) => identifier), params: Object.keys(parameters), paramValues };
		const { headers } = await httpbis.signMessage(config, this.message(message), message.request && this.message(message.request));
		return { input: headers['Signature-Input'], signature: headers.Signature };
	},
	async verify({ httpbis, createVerifier }, { message, parameters, components, key, now }) {
		const verify = createVerifier(Crypto.createPublicKey({ key, format: 'jwk' }), algorithm);
		Date.now = () => now * 1000;
		const config = {
			keyLookup: async ({ keyid }) => (keyid === parameters.keyid ? { id: keyid, algs: [algorithm], verify } : null),
			requiredParams: Object.keys(parameters),
			requiredFields: components.map(({ name }) => name),
		};
		return httpbis.verifyMessage(config, this.message(message), message.request && this.message(message.request));
	},
};

const second = {
	load: () => require('http-message-sig'),
	message(m) {
		const fields = Object.entries(m.header).flatMap(([name, values]) => values.map((value) => ({ name, value })));
		if (m.status) {
			return { kind: 'response', status: m.status, fields, request: m.request && this.message(m.request) };
		}
		return { kind: 'request', method: m.method, targetUri: m.target, fields };
	},
	components: (library, list) => list.map(({ name, parameters }) => library.component(name, parameters)),
	async sign(library, { message, label, components, parameters, key }) {
		const sign = (base) => Crypto.sign('sha256', base, raw(Crypto.createPrivateKey({ key, format: 'jwk' })));
		const made = await library.createSignature(this.message(message), {
			label, components: this.components(library, components), parameters, signer: { algorithm, sign },
		});
		return { input: made.signatureInput, signature: made.signature };
	},
	async verify(library, { message, label, components, parameters, key, now }) {
		const verify = (base, signature) => Crypto.verify('sha256', base, raw(Crypto.createPublicKey({ key, format: 'jwk' })), signature);
		await library.verifySignature(this.message(message), {
			label,
			policy: { algorithms: [algorithm], requiredComponents: this.components(library, components), requiredParameters: Object.keys(parameters), now },
			resolveVerifier: () => ({ algorithm, verify }),
		});
		return true; // else it throws
	},
};

let input = '';
process.stdin.on('data', (piece) => (input += piece));
process.stdin.on('end', async () => {
	const task = JSON.parse(input);
	const stranger = { 'http-message-signatures': first, 'http-message-sig': second }[task.library];
	let result;
	try {
		const library = stranger.load();
		result = task.sign ? await stranger.sign(library, task) : { good: await stranger.verify(library, task) };
	} catch (err) {
		result = { refused: `${err.code || err.name}: ${err.message}` };
	}
	process.stdout.write(JSON.stringify(result));
});
