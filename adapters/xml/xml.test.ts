import fc from 'fast-check';
import { type XmlElement as LibElement, XmlElement as LibXmlElement, XmlDocument } from 'libxml2-wasm';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { GatewayError } from '#kernel';
import {
  child,
  closeWorker,
  compileSchema,
  elementToXml,
  envelopeOf,
  faultDetail,
  faultIn,
  MAX_BYTES,
  openDocuments,
  readEnvelope,
  readXml,
  readXmlApart,
  SOAP11,
  validateElement,
  WORKER_BYTES,
  withPaths,
  writeEnvelope,
  writeFault,
  writeXml,
  type XmlElement,
} from './index.ts';

const utf8 = (text: string) => Buffer.from(text, 'utf8');

/** Time that this thread had of a processor, milliseconds: what else the machine does is not counted. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
};

function refused(use: () => unknown): GatewayError {
  try {
    use();
  } catch (thrown) {
    if (thrown instanceof GatewayError) return thrown;
    throw thrown;
  }
  throw new Error('was not refused');
}

const types = `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:simpleType name="Colour"><xs:restriction base="xs:string"><xs:enumeration value="red"/></xs:restriction></xs:simpleType>
  <xs:simpleType name="Code"><xs:restriction base="xs:string"><xs:pattern value="[0-9]{3}"/></xs:restriction></xs:simpleType>
</xs:schema>`;
const main = `<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:include schemaLocation="types.xsd"/>
  <xs:element name="shop">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="item" maxOccurs="unbounded">
          <xs:complexType>
            <xs:sequence>
              <xs:element name="colour" type="Colour" minOccurs="0"/>
              <xs:element name="code" type="Code" minOccurs="0"/>
              <xs:element name="on" type="xs:date" minOccurs="0"/>
            </xs:sequence>
            <xs:attribute name="key" use="required"/>
          </xs:complexType>
        </xs:element>
      </xs:sequence>
    </xs:complexType>
    <xs:unique name="itemKey"><xs:selector xpath="item"/><xs:field xpath="@key"/></xs:unique>
  </xs:element>
</xs:schema>`;
const schema = compileSchema({ 'main.xsd': main, 'types.xsd': types }, 'main.xsd');

afterEach(() => expect(openDocuments()).toBe(0));
afterAll(closeWorker);

describe('what is read', () => {
  test('names, namespaces, attributes, text and lines', () => {
    const { root, encoding } = readXml(
      utf8(
        '<?xml version="1.0"?>\n<a xmlns="urn:a" xmlns:b="urn:b" x="1" b:y="&lt;é">\n  <b:c> two &amp; <![CDATA[<three>]]></b:c>\n  <d/>\n</a>',
      ),
    );
    expect(encoding).toBe('UTF-8');
    expect(root).toEqual({
      name: 'a',
      ns: 'urn:a',
      attrs: { x: '1', '{urn:b}y': '<é' },
      text: '',
      children: [
        { name: 'c', ns: 'urn:b', attrs: {}, text: ' two & <three>', children: [], line: 3 },
        { name: 'd', ns: 'urn:a', attrs: {}, text: '', children: [], line: 4 },
      ],
      line: 2,
    });
  });

  test('the walk through memory finds what the classes of the library find', () => {
    const text = `<r xmlns:p="urn:p">${'<p:e n="ü">a<!-- no --><![CDATA[b]]><f/>tail\u{1f600}</p:e>\n'.repeat(50)}</r>`;
    const doc = XmlDocument.fromString(text);
    const slow = (element: LibElement): object => {
      const kids: LibElement[] = [];
      let own = '';
      for (let it = element.firstChild; it; it = it.next)
        if (it instanceof LibXmlElement) kids.push(it);
        else if (it.constructor.name !== 'XmlComment' && it.content.trim() !== '') own += it.content;
      const attrs = Object.fromEntries(element.attrs.map((a) => [a.name, a.value]));
      return {
        name: element.name,
        ns: element.namespaceUri,
        attrs,
        text: own,
        children: kids.map(slow),
        line: element.line,
      };
    };
    const expected = slow(doc.root);
    doc.dispose();
    expect(readXml(utf8(text)).root).toEqual(expected);
  });

  test('nothing in a tree is shared, so one can be changed', () => {
    const { root } = readXml(utf8('<a><b/><b/></a>'));
    root.children[0]!.attrs['k'] = 'v';
    root.children[0]!.children.push(root);
    expect(root.children[1]).toMatchObject({ attrs: {}, children: [] });
    expect(readXml(utf8('<a/>')).root).toMatchObject({ attrs: {}, children: [] });
  });

  test('lines beyond what the parser keeps in 16 bits', () => {
    const text = `<shop>\n${Array.from({ length: 30_000 }, (_, i) => `<item key="${i}">\n<colour>red</colour>\n</item>\n`).join('')}<item/>\n<item\n/>\n</shop>`;
    const { children } = readXml(utf8(text)).root;
    expect(children[29_000]!.line).toBe(2 + 29_000 * 3);
    expect(children[29_000]!.children[0]!.line).toBe(3 + 29_000 * 3);
    expect(children[30_000]!.line).toBe(90_002);
    expect(children[30_001]!.line).toBe(90_004);
    const where = refused(() => readXml(utf8(text), { schema })).where;
    expect(where.slice(0, 2)).toEqual([
      { path: 'shop/item[30001]', line: 90_002 },
      { path: 'shop/item[30002]', line: 90_004 },
    ]);
  });

  test.each([
    ['UTF-8', utf8('<a>é€</a>')],
    [
      'UTF-8',
      Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), utf8('<?xml version="1.0" encoding="utf-8"?><a>é€</a>')]),
    ],
    ['UTF-16', Buffer.from('\ufeff<?xml version="1.0" encoding="UTF-16"?><a>é€</a>', 'utf16le')],
    ['UTF-16', Buffer.from('\ufeff<a>é€</a>', 'utf16le').swap16()],
    [
      'windows-1252',
      Buffer.concat([
        utf8('<?xml version="1.0" encoding="Windows-1252"?><a>'),
        Buffer.from([0xe9, 0x80]),
        utf8('</a>'),
      ]),
    ],
  ])('%s', (encoding, bytes) => {
    const read = readXml(bytes);
    expect(read.encoding).toBe(encoding);
    expect(read.root.text).toBe('é€');
  });

  test('ISO-8859-1', () => {
    const bytes = Buffer.from('<?xml version="1.0" encoding="iso-8859-1"?><a>é\u00a0ÿ</a>', 'latin1');
    expect(readXml(bytes)).toMatchObject({ encoding: 'ISO-8859-1', root: { text: 'é\u00a0ÿ' } });
  });

  test('elements that are not wanted are taken out before validation and given apart', () => {
    const text = '<shop><item key="a"><extra><more>x</more></extra></item>\n<extra/></shop>';
    expect(refused(() => readXml(utf8(text), { schema })).fault).toBe('wire.invalid');
    const { root, dropped } = readXml(utf8(text), { schema, drop: ['extra', 'more'] });
    expect(elementToXml(root)).toBe('<shop><item key="a"/></shop>');
    expect(dropped.map((it) => [it.name, it.line])).toEqual([
      ['more', 1],
      ['extra', 1],
      ['extra', 2],
    ]);
  });

  test('a reference to a schema elsewhere is not followed', () => {
    const text =
      '<shop xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:noNamespaceSchemaLocation="file:///etc/hosts http://example.invalid/x"><item key="a"/></shop>';
    expect(readXml(utf8(text), { schema }).root.name).toBe('shop');
  });
});

describe('what is refused', () => {
  const bomb = `<!DOCTYPE a [<!ENTITY a0 "ha">${Array.from({ length: 30 }, (_, i) => `<!ENTITY a${i + 1} "&a${i};&a${i};">`).join('')}]><a>&a30;</a>`;
  test.each([
    ['nothing', ''],
    ['no XML', 'Beste meneer,'],
    ['an element that does not end', '<shop><item>'],
    ['two roots', '<shop/><shop/>'],
    ['an undeclared prefix', '<p:shop/>'],
    ['an undeclared entity', '<shop>&hello;</shop>'],
    ['a DOCTYPE', '<!DOCTYPE shop><shop/>'],
    [
      'a DOCTYPE after a declaration, a comment and an instruction',
      '<?xml version="1.0"?>\n<!-- <a> -->\n<?x y?><!DOCTYPE shop><shop/>',
    ],
    ['a DOCTYPE inside', '<shop><!DOCTYPE shop></shop>'],
    ['an entity bomb', bomb],
    ['an entity bomb in an attribute', bomb.replace('<a>&a30;</a>', '<a b="&a30;"/>')],
    ['an external entity', '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'],
    ['an external DTD', '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd"><a/>'],
    ['an encoding that we do not read', '<?xml version="1.0" encoding="EBCDIC-CP-NL"?><a/>'],
    ['UTF-16 in words, UTF-8 in bytes', '<?xml version="1.0" encoding="UTF-16"?><a/>'],
    ['a mark for UTF-8 and a declaration for another', '\ufeff<?xml version="1.0" encoding="ISO-8859-1"?><a/>'],
    ['a control character', '<a>\u0001</a>'],
  ])('%s', (_, text) => expect(refused(() => readXml(utf8(text))).fault).toBe('wire.unreadable'));

  test('one that was cut off is told as that', () => {
    for (const part of ['<a><b>', '<a>\n<b>text', '<a><b/></'])
      expect(refused(() => readXml(utf8(part)))).toMatchObject({ fault: 'wire.unreadable' });
    expect(refused(() => readXml(utf8('<a>\n<b>text'))).told).toBe(
      'The message is cut off: it ends before its last element does. (line 2)',
    );
  });

  test.each([
    ['UTF-8 that is not', Buffer.from('<?xml version="1.0" encoding="UTF-8"?><a>é</a>', 'latin1')],
    ['no declaration and not UTF-8', Buffer.from('<a>é</a>', 'latin1')],
    [
      'windows-1252 under the name of ISO-8859-1',
      Buffer.from('<?xml version="1.0" encoding="ISO-8859-1"?><a>\u008a</a>', 'latin1'),
    ],
    [
      'a byte that windows-1252 lacks',
      Buffer.from('<?xml version="1.0" encoding="windows-1252"?><a>\u0081</a>', 'latin1'),
    ],
    ['UTF-16 without a mark', Buffer.from('<a/>', 'utf16le')],
    ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 60, 0, 0, 0])],
    [
      'a mark for UTF-16 and a declaration for UTF-8',
      Buffer.from('\ufeff<?xml version="1.0" encoding="UTF-8"?><a/>', 'utf16le'),
    ],
    ['half a surrogate', Buffer.from('\ufeff<a>\ud800</a>', 'utf16le')],
    ['half a character', Buffer.from('\ufeff<a/>', 'utf16le').subarray(0, 9)],
  ])('%s', (_, bytes) => expect(refused(() => readXml(bytes)).fault).toBe('wire.unreadable'));

  test.each([20_000, 200_000, 150])('nesting of %i', (depth) => {
    const bytes = utf8('<a>'.repeat(depth) + '</a>'.repeat(depth));
    const began = cpuMs();
    const error = refused(() => readXml(bytes));
    expect(cpuMs() - began).toBeLessThan(500);
    expect(error.fault).toBe('wire.unreadable');
    expect(error.told).toMatch(/nested too deep/);
  });

  test('too large, by our own limit and by a given one', () => {
    expect(refused(() => readXml(Buffer.alloc(MAX_BYTES + 1, 32))).fault).toBe('wire.too_large');
    expect(refused(() => readXml(utf8('<a>12345</a>'), { maxBytes: 10 })).fault).toBe('wire.too_large');
  });

  test('attribute floods: more attributes of one element than any standard has, quickly', () => {
    const flood = (count: number, name: (i: number) => string) =>
      utf8(`<shop ${Array.from({ length: count }, (_, i) => `${name(i)}=">"`).join(' ')}/>`);
    const began = cpuMs();
    for (const name of [(i: number) => `a${i}`, (i: number) => `xmlns:n${i}`, () => 'a'])
      expect(refused(() => readXml(flood(200_000, name))).fault).toBe('wire.too_large');
    expect(cpuMs() - began).toBeLessThan(5_000);
    // What looks like attributes in text, comments and values is none.
    const words = `${'= '.repeat(40_000)}`;
    expect(
      readXml(utf8(`<shop a="${words}"><!-- it's ${words} --><b c='"'>${words}</b><![CDATA[${words}]]></shop>`)).root
        .name,
    ).toBe('shop');
  });

  test('nothing but tags, quickly', () => {
    const began = cpuMs();
    expect(refused(() => readXml(utf8('<a>' + '<b/>'.repeat(4_000_000) + '</a>'))).fault).toBe('wire.too_large');
    expect(cpuMs() - began).toBeLessThan(2_000);
  });

  test('what breaks the schema, with path and line and without values or unknown names', () => {
    const text = `<shop>
<item key="a"><colour>geheim</colour></item>
<item key="b"><code>geheim</code></item>
<item key="c"><on>geheim</on></item>
<item key="c"/>
<item key="d" geheim="geheim"/>
<item/>
<item key="e">geheim</item>
<item key="f"><geheim/></item>
<item key="g"><code>123</code><colour>red</colour></item>
</shop>`;
    const error = refused(() => readXml(utf8(text), { schema }));
    expect(error.fault).toBe('wire.invalid');
    expect(error.where).toEqual([
      { path: 'shop/item[1]/colour', line: 2 },
      { path: 'shop/item[2]/code', line: 3 },
      { path: 'shop/item[3]/on', line: 4 },
      { path: 'shop/item[4]', line: 5 },
      { path: 'shop/item[5]', line: 6 },
      { path: 'shop/item[6]', line: 7 },
      { path: 'shop/item[7]', line: 8 },
      { path: 'shop/item[8]/?', line: 9 },
      { path: 'shop/item[9]/colour', line: 10 },
    ]);
    expect(error.told).toBe('shop/item[1]/colour, line 2: the value is not in its list. Places in all: 9.');
    expect(
      JSON.stringify({ ...error, message: error.message, stack: error.stack, cause: String(error.cause) }),
    ).not.toMatch(/geheim/);
  });

  test('a wrong root', () => {
    expect(refused(() => readXml(utf8('<stall/>'), { schema }))).toMatchObject({
      fault: 'wire.invalid',
      where: [{ path: '?', line: 1 }],
    });
  });

  test('many places: a hundred are named, all are counted, and it stays quick', () => {
    const bytes = utf8(`<shop>${'<item key="a"/>'.repeat(50_000)}</shop>`);
    const began = cpuMs();
    const error = refused(() => readXml(bytes, { schema }));
    expect(cpuMs() - began).toBeLessThan(5_000);
    expect(error.where.length).toBe(100);
    expect(error.told).toMatch(/Places in all: 49999/);
  });

  test('a tree that was put right is judged with the lines it was read with', () => {
    const { root } = readXml(utf8('<shop>\n\n<item key="a"/>\n\n<item key="b"><colour>geheim</colour></item></shop>'));
    root.children.reverse();
    expect(refused(() => validateElement(root, schema)).where).toEqual([{ path: 'shop/item[1]/colour', line: 5 }]);
    root.children.shift();
    validateElement(root, schema);
  });

  test('reading a thousand bad documents leaves nothing behind', () => {
    const before = process.memoryUsage().arrayBuffers;
    for (let i = 0; i < 1_000; i++) refused(() => readXml(utf8(`<shop>${'<item/>'.repeat(100)}</shop>`), { schema }));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64e6);
  });
});

describe('what is written', () => {
  test('elements, attributes, repeats and escapes', () => {
    const text = writeXml({
      a: { '@xmlns': 'urn:a', '@n': '"\n<', b: ['x & y', 'z\r'], c: { '@k': 1, '#text': 't' }, d: '', e: undefined },
    });
    expect(text).toBe(
      '<?xml version="1.0" encoding="UTF-8"?>\n<a xmlns="urn:a" n="&quot;&#10;&lt;"><b>x &amp; y</b><b>z&#13;</b><c k="1">t</c><d/></a>',
    );
  });

  test('a character that XML cannot carry is refused', () => {
    expect(refused(() => writeXml({ a: '\u0000' })).fault).toBe('wire.invalid');
    expect(refused(() => writeXml({ a: { '@b': '\ud800' } })).fault).toBe('wire.invalid');
  });

  const value = fc.string({ unit: 'binary', maxLength: 20 }).filter((it) => {
    try {
      writeXml({ a: it });
      return true;
    } catch {
      return false;
    }
  });

  test('whatever is written reads back the same', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(value, value), { minLength: 1, maxLength: 5 }), (items) => {
        const { root } = readXml(utf8(writeXml({ r: { i: items.map(([k, v]) => ({ '@k': k, '#text': v })) } })));
        expect(root.children.map((it) => [it.attrs['k'], it.text])).toEqual(items);
      }),
    );
  });

  const tree = (depth: number): fc.Arbitrary<XmlElement> =>
    fc.record({
      name: fc.constantFrom('a', 'b', 'c-1'),
      ns: fc.constantFrom('', 'urn:x', 'urn:y'),
      attrs: fc.dictionary(fc.constantFrom('k', '{urn:z}k', '{http://www.w3.org/XML/1998/namespace}lang'), value, {
        maxKeys: 2,
      }),
      text: value.filter((it) => it.trim() !== ''),
      children: depth === 0 ? fc.constant([]) : fc.array(tree(depth - 1), { maxLength: 2 }),
      line: fc.constant(1),
    });

  test('a tree reads back as it was', () => {
    const lineless = (it: XmlElement): XmlElement => ({ ...it, line: 1, children: it.children.map(lineless) });
    fc.assert(
      fc.property(tree(2), (it) => {
        expect(lineless(readXml(utf8(elementToXml(it))).root)).toEqual(it);
      }),
    );
  });

  test('paths name elements the way errors do', () => {
    const { root } = readXml(utf8('<a><b/><c><d/></c><c/></a>'));
    expect([...withPaths(root)].map((it) => it.path)).toEqual(['a', 'a/b', 'a/c[1]', 'a/c[1]/d', 'a/c[2]']);
  });
});

describe('SOAP', () => {
  test('an envelope is written with prefix s and a bare payload, and read by its body', () => {
    const text = writeEnvelope(
      { answer: { '@xmlns': 'urn:a', ok: 'yes' } },
      { key: { '@xmlns': 'urn:h', '#text': 'k' } },
    );
    expect(text).toContain(
      `<s:Envelope xmlns:s="${SOAP11}"><s:Header><key xmlns="urn:h">k</key></s:Header><s:Body><answer xmlns="urn:a">`,
    );
    const { header, body } = readEnvelope(utf8(text));
    expect(header.map((it) => [it.ns, it.name, it.text])).toEqual([['urn:h', 'key', 'k']]);
    expect([body.ns, body.name, child(body, 'ok')?.text]).toEqual(['urn:a', 'answer', 'yes']);
  });

  test('a fault carries the words of the standard and our code', () => {
    const error = new GatewayError('wire.invalid', 'A day comes twice.', {
      where: [{ path: 'a/b', line: 3 }, { path: 'c' }],
    });
    const body = readEnvelope(
      utf8(writeFault({ faultcode: 'Client.X', faultstring: 'Fout', detail: faultDetail(error, { flowId: 'f1' }) })),
    ).body;
    const fault = faultIn(body)!;
    expect([fault.faultcode, fault.faultstring]).toEqual(['Client.X', 'Fout']);
    const detail = fault.detail!.children[0]!;
    expect(detail.children.map((it) => it.text || it.children.map((c) => c.text))).toEqual([
      'wire.invalid',
      'A day comes twice.',
      'sender',
      'never',
      'f1',
      ['a/b', '3'],
      ['c'],
    ]);
  });

  test.each([
    ['no envelope', '<a/>', 'wire.invalid'],
    [
      'SOAP 1.2',
      '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope"><e:Body><a/></e:Body></e:Envelope>',
      'wire.version',
    ],
    ['no body', `<e:Envelope xmlns:e="${SOAP11}"/>`, 'wire.invalid'],
    ['two bodies', `<e:Envelope xmlns:e="${SOAP11}"><e:Body><a/></e:Body><e:Body/></e:Envelope>`, 'wire.invalid'],
    [
      'two requests in a body',
      `<e:Envelope xmlns:e="${SOAP11}"><e:Body><a/><b/></e:Body></e:Envelope>`,
      'wire.invalid',
    ],
    [
      'a header smuggled in behind another',
      `<e:Envelope xmlns:e="${SOAP11}"><e:Header><k/></e:Header><e:Header><l/></e:Header><e:Body><a/></e:Body></e:Envelope>`,
      'wire.invalid',
    ],
    [
      'a header smuggled in behind the body',
      `<e:Envelope xmlns:e="${SOAP11}"><e:Body><a/></e:Body><e:Header><k/></e:Header></e:Envelope>`,
      'wire.invalid',
    ],
    ['an empty body', `<e:Envelope xmlns:e="${SOAP11}"><e:Body> </e:Body></e:Envelope>`, 'wire.invalid'],
    ['a DOCTYPE', `<!DOCTYPE x><e:Envelope xmlns:e="${SOAP11}"><e:Body><a/></e:Body></e:Envelope>`, 'wire.unreadable'],
  ])('%s is refused', (_, text, fault) => expect(refused(() => readEnvelope(utf8(text))).fault).toBe(fault));
});

test('XML signature wrapping: what is read is the one body of the envelope, wherever a signed copy stands', () => {
  const signed = '<e:Body Id="b1"><pay><to>wilg</to></pay></e:Body>';
  const security =
    '<w:Security xmlns:w="urn:w"><Signature xmlns="http://www.w3.org/2000/09/xmldsig#"><SignedInfo><Reference URI="#b1"/></SignedInfo></Signature>';
  const envelope = (header: string, rest: string) =>
    readEnvelope(utf8(`<e:Envelope xmlns:e="${SOAP11}"><e:Header>${header}</e:Header>${rest}</e:Envelope>`));
  const forged = '<e:Body Id="b2"><pay><to>berk</to></pay></e:Body>';
  // The signed body moved into the header, another one put in its place: nobody says that what is read was signed.
  for (const header of [`${security}${signed}</w:Security>`, `${security}</w:Security><x>${signed}</x>`]) {
    const { body, header: blocks } = envelope(header, forged);
    expect(child(body, 'to')?.text).toBe('berk');
    expect(blocks.some(({ name }) => name === 'Body')).toBe(false);
  }
  expect(refused(() => envelope(`${security}</w:Security>`, signed + forged)).fault).toBe('wire.invalid');
  // A body within the body is an element like any other, and no second one to choose.
  expect(refused(() => envelope(`${security}</w:Security>`, `<e:Body><e:Body/><pay/></e:Body>`)).fault).toBe(
    'wire.invalid',
  );
  expect(envelope('', `<e:Body><wrapper>${signed}</wrapper></e:Body>`).body.name).toBe('wrapper');
});

describe('large documents', () => {
  const large = (inner: string) => utf8(`<shop>${inner}${'<!-- - -->\n'.repeat(WORKER_BYTES / 8)}</shop>`);

  test('are read in the worker with the same answer and the same error', async () => {
    const good = large('<item key="a"><colour>red</colour></item>');
    expect(good.length).toBeGreaterThan(WORKER_BYTES);
    expect(await readXmlApart(good, { schema })).toEqual(readXml(good, { schema }));
    expect(good.length, 'the bytes stay with the caller').toBeGreaterThan(0);
    const bad = large('<item/>');
    const error = (await readXmlApart(bad, { schema }).catch((thrown) => thrown)) as GatewayError;
    expect(error).toBeInstanceOf(GatewayError);
    expect(error).toEqual(refused(() => readXml(bad, { schema })));
  });

  test('several at once each get their own answer', async () => {
    const all = await Promise.all(
      Array.from({ length: 8 }, (_, i) => readXmlApart(large(`<item key="${i}"/>`), { schema })),
    );
    expect(all.map(({ root }) => root.children[0]!.attrs['key'])).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
  });

  test('a worker that dies fails what it was reading, and the next call gets a new one', async () => {
    const reading = readXmlApart(large('<item key="a"/>'), { schema });
    await closeWorker();
    expect(await reading.catch((thrown) => thrown.fault)).toBe('gateway.bug');
    expect((await readXmlApart(large('<item key="a"/>'), { schema })).root.name).toBe('shop');
  });

  test('small ones are read at once, and an envelope can be read from either', async () => {
    const { root } = await readXmlApart(utf8(writeEnvelope({ a: 'x' })));
    expect(envelopeOf(root).body.text).toBe('x');
  });
});

test('a fault is written whatever its words hold', () => {
  const error = new GatewayError('wire.invalid', 'a\u0000b\ud800', { where: 'x\u0001y' });
  const text = writeFault({ faultcode: 'Client', faultstring: 'Nee', detail: faultDetail(error) });
  expect(text).toContain('<told>ab\ufffd</told>');
  expect(text).toContain('<path>xy</path>');
});
