//! Python's pickle, as far as `torch.save` uses it for tensors by name. No code is called: a pickle names what is to be
//! called, and every name but those of tensors, storages and dictionaries is refused.
//!
//! Values refer to each other by number, so that neither depth nor sharing costs memory or stack.

mod value;

pub use value::{Callable, Id, StorageRef, TensorRef, Value};

use std::{
    collections::HashMap,
    io::{self, Read},
};

/// Far more than the names of any model's tensors take.
const MOST_VALUES: usize = 1 << 20;
const LONGEST_TEXT: u64 = 1 << 16;

/// The values of one pickle.
pub struct Pickle {
    values: Vec<Value>,
    pub root: Id,
}

impl Pickle {
    /// Reads one pickle and nothing behind it.
    ///
    /// # Errors
    /// What is wrong with it, for a message.
    pub fn read(bytes: &mut dyn Read) -> Result<Self, String> {
        let mut machine =
            Machine { bytes, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        while machine.step()? {}
        let root = machine.pop()?;
        Ok(Self { values: machine.values, root })
    }

    pub fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }
}

struct Machine<'a> {
    bytes: &'a mut dyn Read,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl Machine<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        self.bytes.read_exact(&mut bytes).map_err(|error| unreadable(&error))?;
        Ok(bytes)
    }

    fn byte(&mut self) -> Result<u8, String> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn text(&mut self, length: u64) -> Result<String, String> {
        if length > LONGEST_TEXT {
            return Err(format!("it has a text of {length} bytes"));
        }
        let mut bytes = Vec::new();
        self.bytes.take(length).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        if bytes.len() as u64 != length {
            return Err("it ends within a text".to_owned());
        }
        String::from_utf8(bytes).map_err(|_| "it has a text that is not UTF-8".to_owned())
    }

    /// Up to the end of the line.
    fn line(&mut self) -> Result<String, String> {
        let mut bytes = Vec::new();
        loop {
            match self.byte()? {
                b'\n' => break,
                _ if bytes.len() as u64 == LONGEST_TEXT => {
                    return Err("it has a name without an end".to_owned());
                }
                byte => bytes.push(byte),
            }
        }
        String::from_utf8(bytes).map_err(|_| "it has a name that is not UTF-8".to_owned())
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.values.len() == MOST_VALUES {
            return Err(format!("it has more than {MOST_VALUES} values"));
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    fn push_id(&mut self, id: Id) -> Result<(), String> {
        if self.stack.len() == MOST_VALUES {
            return Err(format!("it has more than {MOST_VALUES} values"));
        }
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("it takes a value where there is none".to_owned());
        }
        self.stack.pop().ok_or_else(|| "it takes a value where there is none".to_owned())
    }

    /// The values behind the last mark.
    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("it takes a mark where there is none")?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(|| "it takes a value where there is none".to_owned())
    }

    fn memoize(&mut self, at: u32) -> Result<(), String> {
        let id = self.top()?;
        self.memo.insert(at, id);
        Ok(())
    }

    fn recall(&mut self, at: u32) -> Result<(), String> {
        let id = *self.memo.get(&at).ok_or("it recalls a value that it has not kept")?;
        self.push_id(id)
    }

    fn tuple(&mut self, count: usize) -> Result<(), String> {
        let mut items = (0..count).map(|_| self.pop()).collect::<Result<Vec<_>, _>>()?;
        items.reverse();
        self.push(Value::Tuple(items))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(all) => all.extend(items),
            _ => return Err("it appends to what is no list".to_owned()),
        }
        Ok(())
    }

    fn insert(&mut self, items: Vec<Id>) -> Result<(), String> {
        let dict = self.top()?;
        let (pairs, rest) = items.as_chunks::<2>();
        match &mut self.values[dict] {
            Value::Dict(all) if rest.is_empty() => {
                all.extend(pairs.iter().map(|[key, value]| (*key, *value)))
            }
            _ => return Err("it sets an item of what is no dictionary".to_owned()),
        }
        Ok(())
    }

    /// One instruction; false at the end.
    fn step(&mut self) -> Result<bool, String> {
        match self.byte()? {
            // PROTO
            0x80 => match self.byte()? {
                2..=5 => {}
                version => {
                    return Err(format!("it is of version {version} of the format, and 2 to 5 are read"));
                }
            },
            // FRAME
            0x95 => _ = self.take::<8>()?,
            b'.' => return Ok(false),
            b'(' => {
                if self.marks.len() == MOST_VALUES {
                    return Err(format!("it has more than {MOST_VALUES} marks"));
                }
                self.marks.push(self.stack.len());
            }
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => {
                let value = self.byte()?;
                self.push(Value::Int(value.into()))?;
            }
            b'M' => {
                let value = u16::from_le_bytes(self.take()?);
                self.push(Value::Int(value.into()))?;
            }
            b'J' => {
                let value = i32::from_le_bytes(self.take()?);
                self.push(Value::Int(value.into()))?;
            }
            // LONG1
            0x8a => {
                let length = self.byte()?;
                let mut bytes = vec![0; length.into()];
                self.bytes.read_exact(&mut bytes).map_err(|error| unreadable(&error))?;
                self.push(Value::integer(bytes))?;
            }
            b'G' => {
                _ = self.take::<8>()?;
                self.push(Value::Float)?;
            }
            // BINUNICODE; BINSTRING of Python 2
            b'X' | b'T' => {
                let length = u32::from_le_bytes(self.take()?);
                let text = self.text(length.into())?;
                self.push(Value::Text(text))?;
            }
            // SHORT_BINUNICODE; SHORT_BINSTRING of Python 2
            0x8c | b'U' => {
                let length = self.byte()?;
                let text = self.text(length.into())?;
                self.push(Value::Text(text))?;
            }
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b't' => {
                let items = self.pop_mark()?;
                self.push(Value::Tuple(items))?;
            }
            0x85 => self.tuple(1)?,
            0x86 => self.tuple(2)?,
            0x87 => self.tuple(3)?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.insert(items)?;
            }
            b'q' => {
                let at = self.byte()?;
                self.memoize(at.into())?;
            }
            b'r' => {
                let at = u32::from_le_bytes(self.take()?);
                self.memoize(at)?;
            }
            // MEMOIZE
            0x94 => self.memoize(self.memo.len() as u32)?,
            b'h' => {
                let at = self.byte()?;
                self.recall(at.into())?;
            }
            b'j' => {
                let at = u32::from_le_bytes(self.take()?);
                self.recall(at)?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Callable(Callable::named(&module, &name)?))?;
            }
            // STACK_GLOBAL
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) = (&self.values[module], &self.values[name])
                else {
                    return Err("it names what is to be called by no text".to_owned());
                };
                let callable = Callable::named(module, name)?;
                self.push(Value::Callable(callable))?;
            }
            // REDUCE
            b'R' => {
                let (arguments, callable) = (self.pop()?, self.pop()?);
                self.call(callable, arguments)?;
            }
            // BUILD: the attributes of a dictionary, such as _metadata, are not needed.
            b'b' => {
                _ = self.pop()?;
                if !matches!(self.values[self.top()?], Value::Dict(_)) {
                    return Err("it sets attributes of what is no dictionary".to_owned());
                }
            }
            b'Q' => {
                let id = self.pop()?;
                let storage =
                    self.storage(id).ok_or("it refers to something that is no storage of a tensor")?;
                self.push(Value::Storage(storage))?;
            }
            other => {
                return Err(format!("it has the instruction 0x{other:02x}, which no file of tensors needs"));
            }
        }
        Ok(true)
    }

    fn call(&mut self, callable: Id, arguments: Id) -> Result<(), String> {
        let (Value::Callable(callable), Value::Tuple(arguments)) =
            (&self.values[callable], &self.values[arguments])
        else {
            return Err("it calls what cannot be called".to_owned());
        };
        match (callable, &arguments[..]) {
            (Callable::OrderedDict, []) => self.push(Value::Dict(Vec::new())),
            (Callable::RebuildTensor, arguments) => {
                let tensor = self.tensor(arguments).ok_or("a tensor's description is damaged")?;
                self.push(Value::Tensor(tensor))
            }
            (Callable::RebuildParameter, [tensor, ..])
                if matches!(self.values[*tensor], Value::Tensor(_)) =>
            {
                self.push_id(*tensor)
            }
            _ => Err("it calls something with arguments that it does not take".to_owned()),
        }
    }

    fn size(&self, id: Id) -> Option<usize> {
        match &self.values[id] {
            Value::Int(number) => usize::try_from(*number).ok(),
            _ => None,
        }
    }

    fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        match &self.values[id] {
            Value::Tuple(items) => items.iter().map(|id| self.size(*id)).collect(),
            _ => None,
        }
    }

    /// `('storage', torch.FloatStorage, '0', 'cpu', 24)`
    fn storage(&self, id: Id) -> Option<StorageRef> {
        let Value::Tuple(items) = &self.values[id] else { return None };
        let (&[kind, of, key, _, len], view) = items.split_first_chunk()?;
        // Part of another storage, in files of very old versions.
        if view.iter().any(|id| self.values[*id] != Value::None) {
            return None;
        }
        match (&self.values[kind], &self.values[of], &self.values[key]) {
            (Value::Text(kind), Value::Callable(Callable::Storage(dtype)), Value::Text(key))
                if kind == "storage" =>
            {
                Some(StorageRef { key: key.clone(), dtype: *dtype, len: self.size(len)? })
            }
            _ => None,
        }
    }

    /// `_rebuild_tensor_v2(storage, offset, size, stride, requires_grad, hooks)`
    fn tensor(&self, arguments: &[Id]) -> Option<TensorRef> {
        let [storage, offset, shape, strides, ..] = *arguments else { return None };
        let Value::Storage(storage) = &self.values[storage] else { return None };
        let (offset, shape, strides) = (self.size(offset)?, self.sizes(shape)?, self.sizes(strides)?);
        (shape.len() == strides.len()).then(|| TensorRef { storage: storage.clone(), offset, shape, strides })
    }
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ends too early".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
